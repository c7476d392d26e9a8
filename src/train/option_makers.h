// Makers of the options that set a field of RunConfig: one a kind of value.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "train/config_option.h"
#include "train/config_values.h"

namespace rk {

using Options = std::vector<ConfigOption>;
inline constexpr int64_t any_size = std::numeric_limits<int64_t>::max();

struct WholeRange {
  int64_t from = 0, to = any_size;
};
struct RealRange {
  double from = 0, to = std::numeric_limits<double>::max();
  bool open_from = false, open_to = false;  // whether the bound itself is refused
};

inline std::string describe(const WholeRange& r) {
  if (r.from == std::numeric_limits<int64_t>::min()) return "a whole number";
  return r.to == any_size ? cat("a whole number from ", r.from, " on") : cat("a whole number from ", r.from, " to ", r.to);
}

inline std::string describe(const RealRange& r) {
  const bool bounded = r.to != std::numeric_limits<double>::max();
  return cat("a number ", r.open_from ? "above " : "from ", r.from, bounded ? cat(r.open_to ? " to below " : " to ", r.to) : " on");
}

template <class Integer, class Fields>  // Fields: RunConfig or a base of it
ConfigOption whole(const char* name, Integer Fields::*field, WholeRange range, const char* meaning) {
  ConfigOption o;
  o.name = name;
  o.meaning = meaning;
  o.accepts = describe(range);
  if (sizeof(Integer) < sizeof(int64_t)) range.to = std::min<int64_t>(range.to, std::numeric_limits<Integer>::max());
  o.set = [field, range](RunConfig& c, const std::string& text) {
    const auto value = read_whole(text);
    if (!value || *value < range.from || *value > range.to) return false;
    c.*field = static_cast<Integer>(*value);
    return true;
  };
  o.show = [field](const RunConfig& c) { return std::to_string(c.*field); };
  return o;
}

inline ConfigOption real(const char* name, double RunConfig::*field, RealRange range, const char* meaning) {
  ConfigOption o;
  o.name = name;
  o.meaning = meaning;
  o.accepts = describe(range);
  o.set = [field, range](RunConfig& c, const std::string& text) {
    const auto value = read_real(text);
    if (!value || *value < range.from || *value > range.to) return false;
    if ((range.open_from && *value == range.from) || (range.open_to && *value == range.to)) return false;
    c.*field = *value;
    return true;
  };
  o.show = [field](const RunConfig& c) { return show_real(c.*field); };
  return o;
}

inline ConfigOption yes_no(const char* name, bool RunConfig::*field, const char* meaning) {
  ConfigOption o;
  o.name = name;
  o.meaning = meaning;
  o.accepts = "0 or 1";
  o.bare = true;
  o.set = [field](RunConfig& c, const std::string& text) {
    const auto value = read_yes_no(text);
    if (value) c.*field = *value;
    return value.has_value();
  };
  o.show = [field](const RunConfig& c) { return std::string(c.*field ? "1" : "0"); };
  return o;
}

inline ConfigOption text(const char* name, std::string RunConfig::*field, const char* accepts, const char* meaning) {
  ConfigOption o;
  o.name = name;
  o.meaning = meaning;
  o.accepts = accepts;
  o.quoted = true;
  o.set = [field](RunConfig& c, const std::string& value) {
    if (value.find_first_of("\"\n") != std::string::npos) return false;  // the printed record could not be read back
    c.*field = value;
    return true;
  };
  o.show = [field](const RunConfig& c) { return c.*field; };
  return o;
}

// One of some words; a spelling may stand for another: {"bf16-mixed", "bf16"}.
struct Choice {
  const char* spelling;
  const char* value;
};
inline ConfigOption choice(const char* name, std::string RunConfig::*field, std::vector<Choice> choices, const char* meaning) {
  std::string accepts;
  for (const Choice& c : choices)
    if (std::string_view(c.spelling) == c.value) accepts += cat(accepts.empty() ? "" : ", ", c.value);
  ConfigOption o = text(name, field, cat("one of ", accepts).c_str(), meaning);
  o.set = [field, choices = std::move(choices)](RunConfig& c, const std::string& given) {
    for (const Choice& known : choices) {
      if (lower_case(given) != known.spelling) continue;
      c.*field = known.value;
      return true;
    }
    return false;
  };
  return o;
}

inline ConfigOption common(ConfigOption o) {
  o.common = true;
  return o;
}
inline ConfigOption old(std::vector<std::string> aliases, ConfigOption o) {
  o.aliases = std::move(aliases);
  return o;
}

}  // namespace rk
