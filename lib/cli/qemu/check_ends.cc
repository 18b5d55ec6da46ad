#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "lib/cli/qemu/qemu_migration.h"

// What is looked at before a migration begins: whether it can come to its end.
namespace farfault {
namespace {

absl::Status Differ(std::string_view what, const auto& source, const auto& destination, std::string_view remedy) {
  return absl::FailedPreconditionError(
      fmt::format("the two QEMUs differ in {}: source {}, destination {}. {}", what, source, destination, remedy));
}

}  // namespace

absl::Status QemuMigration::CheckEnds() {
  auto source = source_->Describe();
  if (!source.ok()) return source.status();
  const auto destination = destination_->Describe();
  if (!destination.ok()) return destination.status();
  if (source->type != destination->type) {
    return Differ("the machine type", source->type, destination->type,
                  "Name the source's with its version: -machine pc-q35-7.2,…");
  }
  if (source->bytes != destination->bytes) {
    return Differ("the size of the RAM", source->bytes, destination->bytes, "Give both the same size= and -m");
  }
  if (destination->prealloc) {
    return absl::FailedPreconditionError(
        "the destination's memory backend says prealloc=on: QEMU would wait there for pages that come only after the "
        "switchover. Leave it out; farfault populates the file itself");
  }
  if (absl::Status status = CheckDevices(); !status.ok()) return status;
  const auto running = source_->RunState();
  if (!running.ok()) return running.status();
  if (*running != "running" && *running != "paused") {
    return absl::FailedPreconditionError(
        fmt::format("the source's guest is '{}': only one that is running or paused can be moved", *running));
  }
  const auto waiting = destination_->RunState();
  if (!waiting.ok()) return waiting.status();
  if (*waiting != "inmigrate") {
    return absl::FailedPreconditionError(fmt::format(
        "the destination's QEMU is '{}' and does not wait for a guest: start it with -incoming defer", *waiting));
  }
  machine_ = *std::move(source);
  report_.ram_bytes = machine_.bytes;
  return absl::OkStatus();
}

absl::Status QemuMigration::CheckDevices() {
  for (QemuMonitor* const end : {&*source_, &*destination_}) {
    auto devices = end->Devices();
    if (!devices.ok()) return devices.status();
    if (!devices->passed_through.empty()) {
      return absl::FailedPreconditionError(
          fmt::format("the {}'s {} is passed through: it pins all of the RAM, at the destination before there is "
                      "anything in it. Unplug it at the source (device_del) and leave it out at the destination",
                      end->who(), devices->passed_through));
    }
    if (end != &*source_) continue;
    if (!devices->shrinking.empty()) {
      server_.Hint(
          fmt::format("{} may give memory back while it moves, and what was given back may come again: leave "
                      "its size alone until the migration is over",
                      devices->shrinking));
    }
    unseen_writers_ = std::move(devices->unseen_writers);
  }
  return absl::OkStatus();
}

}  // namespace farfault
