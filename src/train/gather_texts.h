// Texts of all ranks.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk {

// Collective: every rank's text, on every rank.
std::vector<std::string> gather_texts(Comm& comm, const std::string& mine);
// The first that is not empty.
std::optional<std::string> first_of(const std::vector<std::string>& texts);

}  // namespace rk
