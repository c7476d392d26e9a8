// What a file of weights says of the text that its model knows.
#pragma once
#include <map>
#include <string>

#include "train/checkpoint.h"
#include "train/run_config.h"

namespace rk {

// "tokenizer" and "template", where the options of a run tell them, into its state.
void keep_text_facts(CheckpointState& state, const RunConfig& config);
// Those of a state, as metadata of a weights file.
std::map<std::string, std::string> weights_metadata(const CheckpointState& state);

}  // namespace rk
