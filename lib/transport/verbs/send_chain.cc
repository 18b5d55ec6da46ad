#include "lib/transport/verbs/send_chain.h"

#include <algorithm>
#include <cstring>

namespace farfault {
namespace {

ibv_wr_opcode OpcodeOf(Opcode opcode) {
  if (opcode == Opcode::kRead) return IBV_WR_RDMA_READ;
  return opcode == Opcode::kWrite ? IBV_WR_RDMA_WRITE : IBV_WR_SEND;
}

}  // namespace

SendChain::SendChain(QueuePair& queue_pair)
    : queue_pair_(queue_pair), requests_(queue_pair.send_slots), pieces_(queue_pair.send_slots) {}

std::uint32_t SendChain::inline_bytes() const {
  return std::max(queue_pair_.device_inline_bytes, QueuePair::kInlineBytes);
}

const char* SendChain::Fill(std::size_t index, const WorkRequest& request, std::uint64_t number) {
  if (request.opcode == Opcode::kReceive) return "is a receive, which PostReceive is for";
  if (request.inline_data && request.opcode == Opcode::kRead) return "is a READ with inline data";
  if (request.inline_data && request.length > inline_bytes()) {
    return "has more inline data than ChannelLimits::inline_bytes";
  }
  ibv_send_wr& wr = requests_[index];
  ibv_sge& piece = pieces_[index];
  wr = {};
  piece = {reinterpret_cast<std::uint64_t>(request.local), request.length, request.local_key};
  wr.wr_id = number;
  wr.opcode = OpcodeOf(request.opcode);
  if (request.opcode != Opcode::kSend) {
    wr.wr.rdma.remote_addr = request.remote_address;
    wr.wr.rdma.rkey = request.remote_key;
  }
  wr.sg_list = &piece;
  wr.num_sge = request.length > 0 ? 1 : 0;
  if (request.inline_data) TakeInline(wr, piece, request);
  return nullptr;
}

void SendChain::TakeInline(ibv_send_wr& wr, ibv_sge& piece, const WorkRequest& request) {
  if (queue_pair_.bounce == nullptr) {
    wr.send_flags = IBV_SEND_INLINE;
    return;
  }
  // As many as there are slots, so that none is used again before its request is done.
  std::byte* const slot =
      queue_pair_.bounce_bytes.data() + (wr.wr_id % queue_pair_.send_slots) * std::size_t{QueuePair::kInlineBytes};
  if (request.length > 0) std::memcpy(slot, request.local, request.length);
  piece.addr = reinterpret_cast<std::uint64_t>(slot);
  piece.lkey = queue_pair_.bounce->lkey;
}

ibv_send_wr* SendChain::Link(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) requests_[i].next = i + 1 < count ? &requests_[i + 1] : nullptr;
  return requests_.data();
}

}  // namespace farfault
