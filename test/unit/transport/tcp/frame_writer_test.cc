#include "lib/transport/tcp/frame_writer.h"

#include <sys/socket.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstring>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

/// A writer whose other end is read by the test; the queues are in the hands of the test.
struct Harness {
  static std::array<int, 2> Pair() {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    return ends;
  }

  FrameHeader Next() const {
    FrameHeader header;
    REQUIRE(recv(there.get(), &header, sizeof(header), MSG_DONTWAIT) == sizeof(header));
    return header;
  }
  bool Silent() const {
    char byte;
    return recv(there.get(), &byte, 1, MSG_DONTWAIT) < 0;
  }

  const std::array<int, 2> ends = Pair();
  const UniqueFd here{ends[0]};
  const UniqueFd there{ends[1]};
  MemoryTable memory;
  ChannelQueues queues{16, 16};
  ChannelFailure failure{here.get(), "the test's channel"};
  FrameWriter writer{here.get(), memory, queues, failure};
};

TEST_CASE("what is told of the peer's progress never goes back, whenever a READ's answer is queued") {
  Harness harness;
  AnswerQueue& answers = harness.queues.answers;
  answers.executed = 4;
  answers.progress_wanted = 4;
  harness.writer.Flush();
  FrameHeader told = harness.Next();
  CHECK(told.type == FrameType::kProgress);
  CHECK(told.number == 4);

  // As the reader leaves it for a moment: the answer is queued and the READ not counted. Credits are due meanwhile.
  answers.reads[0].header = {.type = FrameType::kReadResponse, .length = 0, .number = 4};
  answers.reads_pushed = 1;
  harness.queues.receives.posted = 1;
  harness.writer.Flush();
  const FrameHeader answer = harness.Next();
  CHECK(answer.type == FrameType::kReadResponse);
  CHECK(answer.number == 4);
  told = harness.Next();
  CHECK(told.type == FrameType::kProgress);
  CHECK(told.number == 5);
  CHECK(told.key == 1);

  answers.executed = 5;
  harness.writer.Flush();
  CHECK(harness.Silent());
}

}  // namespace
}  // namespace farfault
