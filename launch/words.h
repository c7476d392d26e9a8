// Small command lines by CLI11, with rookery's spellings and refusals.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rk {

// Parses argv[1..] into `app`; --a-b and --a_b are the same option. False: help was asked for and printed. Refuses (bad_input) what the
// app does not know.
bool parse_words(CLI::App& app, int argc, char** argv);

}  // namespace rk
