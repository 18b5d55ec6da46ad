#include "lib/cli/pager/handshake.h"

#include <fmt/format.h>
#include <linux/userfaultfd.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>

#include "farfault/guest_memory.h"

namespace farfault {
namespace {

using Json = nlohmann::json;

absl::Status Refuse(std::size_t region, const std::string& what) {
  return absl::InvalidArgumentError(fmt::format("region {} of the handshake: {}", region, what));
}

/// A key that must be a number from 0 on; `otherwise` when it is missing and there is something to stand in.
absl::StatusOr<std::uint64_t> Number(const Json& region, std::size_t index, const char* key,
                                     std::optional<std::uint64_t> otherwise) {
  const auto found = region.find(key);
  if (found == region.end()) {
    if (otherwise) return *otherwise;
    return Refuse(index, fmt::format("\"{}\" is missing", key));
  }
  if (!found->is_number_unsigned()) return Refuse(index, fmt::format("\"{}\" is not a whole number from 0 on", key));
  return found->get<std::uint64_t>();
}

absl::StatusOr<bool> Flag(const Json& region, std::size_t index, const char* key, bool otherwise) {
  const auto found = region.find(key);
  if (found == region.end()) return otherwise;
  if (!found->is_boolean()) return Refuse(index, fmt::format("\"{}\" is neither true nor false", key));
  return found->get<bool>();
}

/// Firecracker up to 1.6 says nothing of the page size, up to 1.11 only "page_size_kib", which is in bytes all the
/// same.
absl::StatusOr<std::uint64_t> PageSize(const Json& region, std::size_t index) {
  auto old_name = Number(region, index, "page_size_kib", kSmallPage);
  if (!old_name.ok()) return old_name;
  auto page_size = Number(region, index, "page_size", *old_name);
  if (!page_size.ok()) return page_size;
  if (*page_size == kSmallPage || *page_size == kHugePage) return page_size;
  if (!std::has_single_bit(*page_size)) {
    return Refuse(index, fmt::format("its page size {} is not a power of two", *page_size));
  }
  return Refuse(index,
                fmt::format("pages of {} bytes are not supported; use {} or {}", *page_size, kSmallPage, kHugePage));
}

absl::StatusOr<HandshakeRegion> ParseRegion(const Json& json, std::size_t index) {
  if (!json.is_object()) return Refuse(index, "it is not an object");
  HandshakeRegion region;
  const auto page_size = PageSize(json, index);
  if (!page_size.ok()) return page_size.status();
  region.page_size = *page_size;
  struct Field {
    const char* key;
    std::uint64_t* value;
    std::optional<std::uint64_t> otherwise = std::nullopt;
  };
  for (const Field& field :
       {Field{"base_host_virt_addr", &region.address}, Field{"size", &region.size}, Field{"offset", &region.offset}}) {
    const auto value = Number(json, index, field.key, field.otherwise);
    if (!value.ok()) return value.status();
    *field.value = *value;
  }
  const auto file_offset = Number(json, index, "file_offset", region.offset);
  if (!file_offset.ok()) return file_offset.status();
  region.file_offset = *file_offset;
  for (const Field& field : {Field{"base_host_virt_addr", &region.address}, Field{"size", &region.size},
                             Field{"offset", &region.offset}, Field{"file_offset", &region.file_offset}}) {
    if (*field.value % region.page_size == 0) continue;
    return Refuse(index, fmt::format("\"{}\" {} is not a multiple of its page size {}", field.key, *field.value,
                                     region.page_size));
  }
  if (region.address == 0) return Refuse(index, "\"base_host_virt_addr\" is 0");
  if (region.size == 0) return Refuse(index, "its size is 0");
  const std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::uint64_t begin : {region.address, region.offset, region.file_offset}) {
    if (begin > most || region.size > most - begin) {
      return Refuse(index, fmt::format("{} bytes from {:#x} on reach too far", region.size, begin));
    }
  }
  return region;
}

/// The keys that farfault adds hold for all of the guest: the first region says them.
absl::Status ParseGuest(const Json& first, Handshake* handshake) {
  const auto shared_file = Flag(first, 0, "shared_file", false);
  const auto registered = Flag(first, 0, "registered", true);
  const auto running = Flag(first, 0, "running", !(shared_file.ok() && *shared_file));
  const auto taken_over = Flag(first, 0, "taken_over", false);
  // Firecracker does not say which; it asks for this one.
  const auto features = Number(first, 0, "uffd_features",
                               shared_file.ok() && *shared_file ? 0 : std::uint64_t{UFFD_FEATURE_EVENT_REMOVE});
  const auto pid = Number(first, 0, "pid", 0);
  for (const absl::Status& status : {shared_file.status(), registered.status(), running.status(), taken_over.status(),
                                     features.status(), pid.status()}) {
    if (!status.ok()) return status;
  }
  if (*pid > static_cast<std::uint64_t>(std::numeric_limits<pid_t>::max())) {
    return Refuse(0, fmt::format("\"pid\" {} is no process", *pid));
  }
  handshake->shared_file = *shared_file;
  handshake->registered = *registered;
  handshake->running = *running;
  handshake->taken_over = *taken_over;
  handshake->features = *features;
  handshake->pid = static_cast<pid_t>(*pid);
  const auto name = first.find("name");
  if (name == first.end()) return absl::OkStatus();
  if (!name->is_string()) return Refuse(0, "\"name\" is not a text");
  handshake->name = name->get<std::string>();
  return absl::OkStatus();
}

/// Together the regions are the image, each byte once.
absl::Status CheckWhole(const std::vector<HandshakeRegion>& regions) {
  std::uint64_t end = 0;
  for (const HandshakeRegion& region : regions) {
    if (region.offset != end) {
      return absl::InvalidArgumentError(
          fmt::format("the regions of the handshake do not make up an image: one ends at {}, the next begins at {}",
                      end, region.offset));
    }
    end = region.offset + region.size;
    if (region.page_size == regions.front().page_size) continue;
    return absl::InvalidArgumentError(fmt::format("the handshake has pages of {} and of {} bytes; use one size",
                                                  regions.front().page_size, region.page_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<Handshake>> ParseHandshake(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    // Behind the last byte: there may be more to come.
    if (error.byte > text.size() && text.size() < kMaxHandshakeBytes) return std::nullopt;
    if (error.byte > text.size()) {
      return absl::InvalidArgumentError(fmt::format("the handshake is longer than {} bytes", kMaxHandshakeBytes));
    }
    return absl::InvalidArgumentError(
        fmt::format("the handshake is not JSON from byte {} on: is it a hypervisor that speaks there?", error.byte));
  } catch (const Json::exception& error) {  // A number that no type holds, for instance.
    return absl::InvalidArgumentError(fmt::format("the handshake makes no sense: {}", error.what()));
  }
  if (!json.is_array() || json.empty()) {
    return absl::InvalidArgumentError("the handshake is not a list of regions");
  }
  if (json.size() > kMaxHandshakeRegions) {
    return absl::InvalidArgumentError(
        fmt::format("the handshake has {} regions; {} are allowed", json.size(), kMaxHandshakeRegions));
  }
  Handshake handshake;
  for (const Json& element : json) {
    auto region = ParseRegion(element, handshake.regions.size());
    if (!region.ok()) return region.status();
    handshake.regions.push_back(*region);
  }
  if (absl::Status status = ParseGuest(json.front(), &handshake); !status.ok()) return status;
  std::sort(handshake.regions.begin(), handshake.regions.end(),
            [](const HandshakeRegion& a, const HandshakeRegion& b) { return a.offset < b.offset; });
  if (absl::Status status = CheckWhole(handshake.regions); !status.ok()) return status;
  handshake.text = text;
  return handshake;
}

}  // namespace farfault
