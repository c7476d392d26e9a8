// The paths that --data_file and its relatives name.
#pragma once
#include <string>
#include <vector>

#include "data/data_options.h"

namespace rk {

// `value` of an option: a path, several with commas between, or a folder, whose files of the type are taken in the order of their names,
// those of folders below it, too. Token files of binidx without .bin and .idx. `option` names it in messages.
std::vector<std::string> data_paths(const DataOptions& options, const std::string& value, const char* option);

// All files that the options name: of binidx both of each. Refuses those that do not exist, naming the option.
std::vector<std::string> named_files(const DataOptions& options);

// data_weights, one for each of n paths; empty: none are given.
std::vector<double> data_weights(const DataOptions& options, size_t n);

}  // namespace rk
