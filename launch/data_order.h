// rookery data order: which samples a step of a run is made of.
#pragma once
#include <string>
#include <vector>

namespace rk {

// words: --steps A:B and either options of rookery train or the --proj_dir of a run, whose newest checkpoint has the options. Prints a line
// for each sample of the steps A to B: step, row of the global batch, sample number, token offset.
void print_data_order(std::vector<std::string> words);

}  // namespace rk
