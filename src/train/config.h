// From the words of a command line and flat `key = value` files to a RunConfig.
#pragma once
#include <string>
#include <vector>

#include "train/run_config.h"

namespace rk {

// `words` is what follows `rookery train`. Values of files are overruled by flags, both by nothing else. Fills notes, origins and
// command_line. Every refusal is one sentence naming flag (or file and key), value, and what is accepted.
RunConfig parse_config(const std::vector<std::string>& words);

// Whether the words ask for help; help_text answers.
enum class HelpRequest { none, common, all };
HelpRequest help_request(const std::vector<std::string>& words);
std::string help_text(HelpRequest which);

// What a configuration is for. A plan needs neither the data nor a GPU.
struct Validated {
  bool plan = false;
  bool model = true;  // false: nothing makes a new model of the options, so its sizes do not matter
};

// Refuses what does not fit together, completes what follows from the rest (batch sizes, precision, ZeRO stage), and writes
// config.text. Touches no file and takes no memory; the same on every rank.
void validate(RunConfig& config, int world, const Validated& for_what = {});

// Refuses files that the run needs and this host does not have.
void check_files(const RunConfig& config);

// The resolved set as a config file that reads back to the same set; each line ends in "# default", "# file" or "# flag".
std::string config_text(const RunConfig& config);

}  // namespace rk
