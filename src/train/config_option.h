// What is known about each word that `rookery train` takes as an option: the one description that parsing, defaults, help, checks
// and the printed record use.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/run_config.h"

namespace rk {

struct ConfigOption {
  enum class Kind {
    value,       // a field of RunConfig
    translated,  // an old spelling of other options
    no_effect,   // accepted with a line that says why it changes nothing here
    absent,      // a feature that this build does not have; refused unless the value means "off"
  };
  // What a translated option stands for: pairs of option and value.
  using Meaning = std::vector<std::pair<std::string, std::string>>;

  Kind kind = Kind::value;
  std::string name;                        // without dashes, with underscores
  std::vector<std::string> aliases;        // old names with the same meaning
  std::string section;                     // heading in the help
  std::string meaning;                     // one phrase; for no_effect and absent: the reason
  std::string accepts;                     // "a whole number from 1 on"
  std::vector<std::string> harmless = {};  // absent: values that ask for nothing
  bool common = false;                     // shown by --help
  bool bare = false;                       // may stand without a value, which then is 1
  bool list = false;                       // takes all words up to the next option

  std::function<bool(RunConfig&, const std::string&)> set;  // value: false when the text is not accepted
  std::function<std::string(const RunConfig&)> show;        // value: as text that set() takes
  bool quoted = false;                                      // value: show() is a string in a config file
  // translated: false when not accepted. An empty meaning: nothing to do. absent: values that ask for something else, which exists.
  std::function<bool(const std::string&, Meaning&)> translate;
};

// All options, in the order of the help.
const std::vector<ConfigOption>& config_options();
// The option with this name or alias; null when unknown.
const ConfigOption* find_option(std::string_view spelling);
// The known spelling with the fewest edits.
std::string nearest_spelling(std::string_view unknown);
// "--a-b" and "-a_b" to "a_b".
std::string plain_spelling(std::string_view word);

// The parts of config_options(): fields, and what comes from other trainers.
std::vector<ConfigOption> own_options();
std::vector<ConfigOption> foreign_options();

}  // namespace rk
