#include "lib/transport/sim/memory_table.h"

namespace farfault::sim {

class MemoryTable::Registration final : public RegisteredMemory {
 public:
  Registration(MemoryTable& table, std::span<std::byte> memory, std::uint32_t key)
      : RegisteredMemory(memory, key, key), table_(table) {}
  ~Registration() override { table_.Revoke(local_key()); }

 private:
  MemoryTable& table_;
};

std::unique_ptr<RegisteredMemory> MemoryTable::Register(DomainId domain, std::span<std::byte> memory,
                                                        RemoteAccess access) {
  const WriterLock lock(&mutex_);
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    if (index >> kIndexBits != 0) return nullptr;
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  generation_ = generation_ % 0xffff + 1;
  const std::uint32_t key = generation_ << kIndexBits | index;
  entries_[index] = {key, domain, access, memory.data(), memory.size()};
  return std::make_unique<Registration>(*this, memory, key);
}

void MemoryTable::Revoke(std::uint32_t key) {
  const WriterLock lock(&mutex_);
  const std::uint32_t index = key & ((1u << kIndexBits) - 1);
  entries_[index] = {};
  free_.push_back(index);
}

const MemoryTable::Entry* MemoryTable::Find(DomainId domain, std::uint32_t key, std::uint64_t address,
                                            std::uint64_t length) const {
  const std::uint32_t index = key & ((1u << kIndexBits) - 1);
  if (key == 0 || index >= entries_.size()) return nullptr;
  const Entry& entry = entries_[index];
  const auto base = reinterpret_cast<std::uint64_t>(entry.base);
  const bool inside = address >= base && length <= entry.length && address - base <= entry.length - length;
  return entry.key == key && entry.domain == domain && inside ? &entry : nullptr;
}

std::byte* MemoryTable::FindRemote(DomainId domain, std::uint32_t key, std::uint64_t address, std::uint64_t length,
                                   RemoteAccess access) const {
  const Entry* entry = Find(domain, key, address, length);
  if (entry == nullptr) return nullptr;
  const auto wanted = static_cast<unsigned>(access);
  if ((static_cast<unsigned>(entry->access) & wanted) != wanted) return nullptr;
  return entry->base + (address - reinterpret_cast<std::uint64_t>(entry->base));
}

bool MemoryTable::ContainsLocal(DomainId domain, std::uint32_t key, const std::byte* address,
                                std::uint64_t length) const {
  return Find(domain, key, reinterpret_cast<std::uint64_t>(address), length) != nullptr;
}

}  // namespace farfault::sim
