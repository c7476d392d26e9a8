// Short texts of all ranks.
#pragma once
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk {

// Every rank's text, in rank order, on every rank. Collective, over tensors of the host.
std::vector<std::string> gather_texts(Comm& comm, const std::string& text);

}  // namespace rk
