// The file whose content launchers of one run share.
#pragma once
#include <string>

namespace rk {

inline constexpr size_t shortest_secret = 16;

// Its bytes, without line ends behind them. Refuses a file that others may read, that belongs to somebody else, or that is shorter than
// `shortest_secret`.
std::string read_secret(const std::string& path);

}  // namespace rk
