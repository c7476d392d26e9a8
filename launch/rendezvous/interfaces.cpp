#include "launch/rendezvous/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>

#include <bit>
#include <memory>

#include "base/error.h"

namespace rk {
namespace {

std::string text_of(const in_addr& address) {
  char text[INET_ADDRSTRLEN];
  return ::inet_ntop(AF_INET, &address, text, sizeof text) ? text : "";
}

std::string text_of(const sockaddr* address) {
  if (!address || address->sa_family != AF_INET) return {};
  return text_of(reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
}

using GetName = int (*)(int, sockaddr*, socklen_t*);
std::string address_by(GetName get, int fd) {
  sockaddr_in address{};
  socklen_t n = sizeof address;
  if (get(fd, reinterpret_cast<sockaddr*>(&address), &n) != 0) return {};
  return text_of(reinterpret_cast<const sockaddr*>(&address));
}

}  // namespace

std::string network_of(const std::string& address, const std::string& netmask) {
  in_addr ip{}, mask{};
  if (::inet_pton(AF_INET, address.c_str(), &ip) != 1 || ::inet_pton(AF_INET, netmask.c_str(), &mask) != 1) return {};
  ip.s_addr &= mask.s_addr;
  return cat(text_of(ip), "/", std::popcount(mask.s_addr));
}

std::vector<Interface> interfaces() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) fail("the network interfaces of this host cannot be listed", ExitCode::failure);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, ::freeifaddrs);
  std::vector<Interface> all;
  for (const ifaddrs* i = first; i; i = i->ifa_next) {
    const std::string address = text_of(i->ifa_addr);
    all.push_back({i->ifa_name, address, network_of(address, text_of(i->ifa_netmask)), (i->ifa_flags & IFF_UP) != 0});
  }
  return all;
}

Interface interface_with_address(const std::vector<Interface>& all, const std::string& address) {
  for (const Interface& i : all)
    if (!address.empty() && i.address == address) return i;
  for (const Interface& i : all)  // 127.0.0.2 and others
    if (address.starts_with("127.") && i.address.starts_with("127.")) return i;
  return {};
}

Interface interface_named(const std::vector<Interface>& all, const std::string& name) {
  std::string known;
  for (const Interface& i : all) {
    if (i.address.empty() || !i.up) continue;
    if (i.name == name) return i;
    known += cat(known.empty() ? "" : ", ", i.name, " (", i.address, ")");
  }
  fail(cat("--interface ", name, " is no interface of this host that is up and has an IPv4 address; there are ", known));
}

std::string resolve(const std::string& host) {
  addrinfo hints{}, *first = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &first) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(first, ::freeaddrinfo);
  return text_of(first->ai_addr);
}

sockaddr_in socket_address(const std::string& address, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  if (address.empty())
    a.sin_addr.s_addr = htonl(INADDR_ANY);
  else
    require(::inet_pton(AF_INET, address.c_str(), &a.sin_addr) == 1, "addresses come from resolve()");
  return a;
}

std::string local_address(int fd) { return address_by(::getsockname, fd); }
std::string remote_address(int fd) { return address_by(::getpeername, fd); }

}  // namespace rk
