#include "test/support/scripted_peer.h"

#include <catch2/catch_test_macros.hpp>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "lib/runtime/connection.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr char kAnyPort[] = "tcp://127.0.0.1:0";
constexpr absl::Duration kPatience = absl::Seconds(5);
// The other end may be a program that has to start first.
constexpr absl::Duration kArrival = absl::Seconds(60);
constexpr ChannelOptions kPolled{.service = Service::kPolled};

std::unique_ptr<Transport> RequireTransport(const std::string& address) {
  auto transport = MakeTransport(address);
  INFO(transport.status().ToString());
  REQUIRE(transport.ok());
  return *std::move(transport);
}

}  // namespace

ScriptedPeer::ScriptedPeer(const std::string& address, Role role)
    : role_(role), address_(address), transport_(RequireTransport(address)) {
  Wrap(transport_->Connect(address, EncodeTicket(ChannelTicket{}), kPolled, Deadline::After(kPatience)));
}

ScriptedPeer::ScriptedPeer(Role role) : role_(role), transport_(RequireTransport(kAnyPort)) {
  auto listener = transport_->Listen(kAnyPort);
  INFO(listener.status().ToString());
  REQUIRE(listener.ok());
  listener_ = *std::move(listener);
  address_ = listener_->address();
}

void ScriptedPeer::Accept() {
  auto incoming = listener_->Accept(Deadline::After(kArrival));
  INFO(incoming.status().ToString());
  REQUIRE(incoming.ok());
  const auto ticket = DecodeTicket((*incoming)->private_data());
  REQUIRE((ticket && ticket->kind == ChannelKind::kControl));
  Wrap((*incoming)->Accept(kPolled));
}

void ScriptedPeer::Wrap(absl::StatusOr<std::unique_ptr<Channel>> control) {
  INFO(control.status().ToString());
  REQUIRE(control.ok());
  channel_ = *std::move(control);
  auto buffers = RegisteredBuffer::Create(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone);
  REQUIRE(buffers.ok());
  buffers_ = *std::move(buffers);
  link_ = std::make_unique<ControlLink>(*channel_, buffers_.bytes(), buffers_.local_key());
  auto hello = MakeHello(role_, 1, 1);
  REQUIRE(hello.ok());
  hello_ = *hello;
}

absl::StatusOr<ControlMessage> ScriptedPeer::Next() {
  return WaitForMessage(*link_, "next message", Deadline::After(kPatience));
}

void ScriptedPeer::Expect(MessageType type, MessageType between) {
  for (;;) {
    const auto message = Next();
    INFO(message.status().ToString());
    REQUIRE(message.ok());
    if (message->type == between) continue;
    REQUIRE(message->type == type);
    return;
  }
}

void ScriptedPeer::SayHello() { link_->SendStruct(MessageType::kHello, hello_); }

void ScriptedPeer::Prove() {
  const auto message = Next();
  REQUIRE(message.ok());
  const auto hello = message->As<HelloMessage>();
  REQUIRE(hello.has_value());
  other_hello_ = *hello;
  const bool source = role_ == Role::kSource;
  link_->SendStruct(MessageType::kProof,
                    MakeProof("", role_, source ? hello_ : other_hello_, source ? other_hello_ : hello_));
  Expect(MessageType::kProof);
}

absl::Status ScriptedPeer::OpenForeignDataChannel(ChannelKind kind) {
  ChannelTicket ticket{.kind = kind};
  ticket.token.fill(7);
  return transport_->Connect(address_, EncodeTicket(ticket), kPolled, Deadline::After(kPatience)).status();
}

std::unique_ptr<Channel> ScriptedPeer::OpenDataChannel(ChannelKind kind) {
  const bool source = role_ == Role::kSource;
  const ChannelTicket ticket{.kind = kind,
                             .token = MakeToken("", source ? hello_ : other_hello_, source ? other_hello_ : hello_)};
  if (listener_ == nullptr) {
    auto channel = transport_->Connect(address_, EncodeTicket(ticket), kPolled, Deadline::After(kPatience));
    INFO(channel.status().ToString());
    REQUIRE(channel.ok());
    return *std::move(channel);
  }
  auto incoming = listener_->Accept(Deadline::After(kPatience));
  INFO(incoming.status().ToString());
  REQUIRE(incoming.ok());
  CHECK((*incoming)->private_data() == EncodeTicket(ticket));
  auto channel = (*incoming)->Accept(kPolled);
  REQUIRE(channel.ok());
  return *std::move(channel);
}

void ScriptedPeer::HangUp() {
  link_.reset();
  channel_.reset();
}

void ScriptedPeer::Flush() { FlushLink(*link_, Deadline::After(kPatience)).IgnoreError(); }

}  // namespace farfault
