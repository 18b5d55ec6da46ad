#include "test/qemu/scene.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

std::vector<std::string> Farfault(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.begin(), FARFAULT_COMMAND);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// What follows `before` on standard error, up to the end of the word.
std::string WordAfter(const CommandProcess& process, std::string_view before) {
  const std::string text = process.Err();
  const std::size_t begin = text.find(before) + before.size();
  return text.substr(begin, text.find_first_of(" \n,", begin) - begin);
}

}  // namespace

nlohmann::json RequireMoved(CommandProcess& migration, const QemuMachine& destination) {
  const int status = migration.Wait(Scene::kPatience);
  INFO(destination.Words());
  INFO("standard error: " << migration.Err());
  REQUIRE(status == 0);
  return nlohmann::json::parse(migration.Out());
}

void CheckRunsWell(const QemuMachine& machine, std::uint64_t more_rounds) {
  const auto first = machine.WaitForRounds(0, Scene::kPatience);
  INFO(first.status().ToString());
  REQUIRE(first.ok());
  const auto later = machine.WaitForRounds(first->rounds + more_rounds, Scene::kPatience);
  INFO(later.status().ToString());
  REQUIRE(later.ok());
  CHECK(later->wrong == 0);
}

void CheckRefused(CommandProcess& command, const std::vector<std::string>& words) {
  const int status = command.Wait(Scene::kPatience);
  const std::string err = command.Err();
  INFO("standard error: " << err);
  CHECK(status == 1);
  for (const std::string& word : words) {
    INFO("should say: " << word);
    CHECK(err.find(word) != std::string::npos);
  }
}

Scene::Scene(std::string listen) : listen_(std::move(listen)) {
  RequireDirtyTracking();
  std::string name = (std::filesystem::temp_directory_path() / "farfault-qemu-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  folder_ = name;
}

Scene::~Scene() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

QemuMachine::Spec Scene::Spec(const std::string& name) const {
  QemuMachine::Spec spec;
  spec.name = name;
  spec.folder = folder_;
  spec.ram_mib = 160;
  spec.touched_mib = 48;
  spec.agent = true;
  return spec;
}

std::unique_ptr<QemuMachine> Scene::StartGuest(const QemuMachine::Spec& spec) {
  auto machine = QemuMachine::Start(spec);
  if (absl::IsUnavailable(machine.status())) SkipFor(std::string(machine.status().message()));
  REQUIRE(machine.ok());
  const auto report = (*machine)->WaitForRounds(1, kBootPatience);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  return *std::move(machine);
}

std::unique_ptr<CommandProcess> Scene::StartPager(const std::vector<std::string>& more) {
  pager_socket_ = (folder_ / fmt::format("pager-{}", pagers_++)).string();
  auto pager = std::make_unique<CommandProcess>(
      Farfault({"pager", "--socket", pager_socket_, "--listen", listen_, "--once", "--json"}, more));
  const bool listens = pager->WaitForErr("waiting for a hypervisor", kPatience);
  INFO(pager->Err());
  REQUIRE(listens);
  return pager;
}

std::unique_ptr<CommandProcess> Scene::StartNextPager(const std::vector<std::string>& more) {
  auto pager = std::make_unique<CommandProcess>(
      Farfault({"pager", "--socket", pager_socket_, "--listen", pager_address_, "--once", "--json"}, more));
  const bool found = pager->WaitForErr("taking over the guest of process", kPatience);
  INFO(pager->Err());
  REQUIRE(found);
  return pager;
}

std::unique_ptr<QemuMachine> Scene::StartDestination(QemuMachine::Spec spec, CommandProcess& pager) {
  spec.incoming = true;
  spec.pager_socket = pager_socket_;
  auto machine = QemuMachine::Start(spec);
  REQUIRE(machine.ok());
  const absl::Status monitor = (*machine)->WaitForMonitor(kPatience);
  INFO(monitor.ToString());
  REQUIRE(monitor.ok());
  const bool listens = pager.WaitForErr("waiting for a source at ", kPatience);
  INFO(pager.Err());
  REQUIRE(listens);
  pager_address_ = WordAfter(pager, "waiting for a source at ");
  return *std::move(machine);
}

std::unique_ptr<CommandProcess> Scene::Migrate(const QemuMachine& source, const QemuMachine& destination,
                                               const std::vector<std::string>& more) {
  const std::pair<const char*, std::string> usual[] = {
      {"--source-qmp", source.qmp_socket()},
      {"--destination-qmp", destination.qmp_socket()},
      {"--agent", source.agent_socket()},
      {"--pager", pager_address_},
      {"--state", fmt::format("unix:{}", (folder_ / "state").string())},
  };
  std::vector<std::string> words = {"qemu-migrate", "--json"};
  for (const auto& [name, value] : usual) {
    if (std::find(more.begin(), more.end(), name) == more.end()) words.insert(words.end(), {name, value});
  }
  return std::make_unique<CommandProcess>(Farfault(words, more));
}

std::unique_ptr<CommandProcess> Scene::Resume(const std::vector<std::string>& more) {
  return std::make_unique<CommandProcess>(
      Farfault({"qemu-migrate", "--resume", "--json", "--pager", pager_address_}, more));
}

}  // namespace farfault
