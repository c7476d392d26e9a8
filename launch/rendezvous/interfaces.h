// Network interfaces of this host (IPv4, as Open MPI is usually built).
#pragma once
#include <netinet/in.h>

#include <string>
#include <vector>

namespace rk {

struct Interface {
  std::string name;     // "eth0"
  std::string address;  // "10.0.1.7"
  std::string network;  // "10.0.1.0/24", as Open MPI's *_if_include take it
  bool up = false;
};

std::vector<Interface> interfaces();
std::string network_of(const std::string& address, const std::string& netmask);

// The one that owns the address; a nameless one where none does.
Interface interface_with_address(const std::vector<Interface>& all, const std::string& address);
// The one of that name; refuses an unknown one and one without an IPv4 address.
Interface interface_named(const std::vector<Interface>& all, const std::string& name);

// Address of a host by name or number; empty while it cannot be told.
std::string resolve(const std::string& host);
sockaddr_in socket_address(const std::string& address, int port);
std::string local_address(int fd);  // of a connected socket
std::string remote_address(int fd);

}  // namespace rk
