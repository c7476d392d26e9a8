// The options of the data (data/data_options.h).
#pragma once
#include <vector>

#include "train/config_option.h"

namespace rk {

std::vector<ConfigOption> data_options();

}  // namespace rk
