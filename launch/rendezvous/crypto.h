// The little cryptography that launchers need, by OpenSSL.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace rk {

inline constexpr size_t mac_bytes = 32;

std::string hmac_sha256(std::string_view key, std::string_view text);  // mac_bytes long
std::string random_bytes(size_t n);                                    // nobody can guess them
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace rk
