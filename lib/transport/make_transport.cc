#include <fmt/format.h>

#include <string>
#include <vector>

#include "farfault/version.h"
#include "lib/transport/rails/rail_address.h"
#include "lib/transport/rails/rail_transport.h"
#include "lib/transport/sim/sim_address.h"
#include "lib/transport/sim/sim_transport.h"
#include "lib/transport/tcp/tcp_address.h"
#include "lib/transport/tcp/tcp_transport.h"
#include "lib/transport/transport_registry.h"
#if FARFAULT_HAVE_VERBS
#include "lib/transport/verbs/verbs_address.h"
#include "lib/transport/verbs/verbs_transport.h"
#endif

namespace farfault {
namespace {

std::string JoinSchemes(std::string_view separator) {
  std::string joined;
  for (const TransportFactory& factory : TransportFactories()) {
    if (!joined.empty()) joined += separator;
    joined += factory.scheme;
  }
  return joined;
}

absl::StatusOr<const TransportFactory*> FactoryOf(std::string_view address) {
  const std::size_t end = address.find("://");
  if (end == std::string_view::npos) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not an address: it lacks a scheme, as in tcp://192.0.2.7:7000", address));
  }
  const std::string_view scheme = address.substr(0, end);
  for (const TransportFactory& factory : TransportFactories()) {
    if (factory.scheme == scheme) return &factory;
  }
  return absl::InvalidArgumentError(fmt::format("'{}': {}", address, LacksTransport(scheme)));
}

}  // namespace

std::span<const TransportFactory> TransportFactories() {
  static const std::vector<TransportFactory> factories = {
#if FARFAULT_HAVE_VERBS
      {"verbs", &MakeVerbsTransport, [](std::string_view address) { return ParseVerbsAddress(address).status(); }},
#endif
      {"tcp", &MakeTcpTransport, [](std::string_view address) { return ParseTcpAddress(address).status(); }},
      {"sim", &MakeSimTransport, [](std::string_view address) { return sim::SimAddress::Parse(address).status(); }},
  };
  return factories;
}

std::string_view TransportNames() {
  static const std::string names = JoinSchemes(" ");
  return names;
}

std::string LacksTransport(std::string_view scheme) {
  std::string lacks = fmt::format("this build has no transport '{}'; it has: {}", scheme, JoinSchemes(", "));
  if (scheme != "verbs") return lacks;
  return lacks +
         "; for RDMA install libibverbs-dev and librdmacm-dev (./dev setup does), and build with "
         "-DFARFAULT_WITH_VERBS=ON";
}

absl::Status CheckAddress(std::string_view address) {
  const auto factory = FactoryOf(address);
  if (!factory.ok()) return factory.status();
  const auto rails = SplitRails(address);
  if (!rails.ok()) return rails.status();
  for (const std::string& rail : *rails) {
    if (absl::Status status = (*factory)->check(rail); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(std::string_view address) {
  const auto factory = FactoryOf(address);
  if (!factory.ok()) return factory.status();
  return HasRails(address) ? MakeRailTransport(address) : (*factory)->make(address);
}

}  // namespace farfault
