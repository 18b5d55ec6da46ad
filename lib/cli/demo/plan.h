#ifndef FARFAULT_LIB_CLI_DEMO_PLAN_H_
#define FARFAULT_LIB_CLI_DEMO_PLAN_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// What the coordinator tells the two roles, and what they report. It travels as JSON.
namespace farfault {

/// The guest: its memory and its program. The same for all methods.
struct GuestPlan {
  std::uint64_t bytes = 0;
  std::uint64_t page_size = 0;
  bool anonymous = false;
  std::uint64_t threads = 1;
  std::uint64_t seed = 0;

  std::uint64_t shard_bytes() const { return bytes / threads / page_size * page_size; }
  std::uint64_t pages() const { return bytes / page_size; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestPlan, bytes, page_size, anonymous, threads, seed)

/// One move.
struct MovePlan {
  std::string title;
  std::string address;  ///< Where the destination listens, then where the source connects.
  bool push = false;
  bool prepage = false;
  std::string predictor;
  std::uint64_t prepage_bytes = 0;
  std::int64_t timeout_ns = 0;      ///< For every single wait.
  std::int64_t lead_in_ns = 0;      ///< How long the program runs at the source at least.
  std::int64_t lead_out_ns = 0;     ///< How long it runs at the destination once all is there.
  std::int64_t demand_only_ns = 0;  ///< How long only touched pages move, without a push.
  std::uint64_t corrupt = 0;        ///< Bytes to flip at the destination before the checks: they must notice.
  bool two_hosts = false;           ///< What the two sides share of a Judge otherwise has to be sent.
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MovePlan, title, address, push, prepage, predictor, prepage_bytes, timeout_ns,
                                   lead_in_ns, lead_out_ns, demand_only_ns, corrupt, two_hosts)

/// What the source saw of a move. Times are CLOCK_MONOTONIC in nanoseconds.
struct SourceReport {
  std::int64_t began_at = 0;
  std::int64_t stopped_at = 0;
  std::int64_t prepage_ns = 0;
  std::uint64_t prepaged_bytes = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t hints_seen = 0;
  std::uint64_t pages_yielded = 0;
  std::uint64_t hole_pages = 0;
  std::uint64_t wrong_answers = 0;
  nlohmann::json rails;  ///< RailsToJson.
  // Of two hosts only.
  std::int64_t epoch = 0;
  std::vector<std::uint64_t> slices;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SourceReport, began_at, stopped_at, prepage_ns, prepaged_bytes, bytes_sent,
                                   hints_seen, pages_yielded, hole_pages, wrong_answers, rails, epoch, slices)

struct StallReport {
  std::int64_t p50 = 0;
  std::int64_t p99 = 0;
  std::int64_t max = 0;
  std::int64_t sum = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StallReport, p50, p99, max, sum)

/// What the destination saw of a move.
struct DestinationReport {
  std::int64_t resumed_at = 0;
  std::int64_t first_answer_at = 0;
  std::int64_t resident_at = 0;
  std::int64_t prepare_ns = 0;
  std::uint64_t faults_network = 0;
  std::uint64_t faults_local = 0;
  StallReport stall_ns;
  std::uint64_t bytes = 0;
  std::uint64_t demanded = 0;
  std::uint64_t fetched = 0;
  std::uint64_t pushed = 0;
  std::uint64_t prepaged = 0;
  std::uint64_t stale = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t chunks_collapsed = 0;
  std::uint64_t answers = 0;
  nlohmann::json connection;  ///< ConnectionToJson.

  std::uint64_t pages() const { return demanded + fetched + pushed + prepaged; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DestinationReport, resumed_at, first_answer_at, resident_at, prepare_ns,
                                   faults_network, faults_local, stall_ns, bytes, demanded, fetched, pushed, prepaged,
                                   stale, duplicates, chunks_collapsed, answers, connection)

/// What the checks at the end found.
struct Verdict {
  std::uint64_t verified_pages = 0;
  std::uint64_t wrong_pages = 0;
  std::uint64_t wrong_answers = 0;

  bool good() const { return wrong_pages == 0 && wrong_answers == 0; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Verdict, verified_pages, wrong_pages, wrong_answers)

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_PLAN_H_
