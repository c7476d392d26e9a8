// Short texts of all ranks.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk {

// Every rank's text, in rank order, on every rank. Collective, over tensors of the host.
std::vector<std::string> gather_texts(Comm& comm, const std::string& mine);
// The first that is not empty.
std::optional<std::string> first_of(const std::vector<std::string>& texts);

}  // namespace rk
