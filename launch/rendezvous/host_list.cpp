// Slurm's compressed lists of hosts.
#include <charconv>

#include "base/error.h"
#include "launch/rendezvous/launch_options.h"

namespace rk {
namespace {

[[noreturn]] void refuse(const std::string& list) { fail(cat("SLURM_JOB_NODELIST '", list, "' cannot be understood; give --master_addr")); }

// Parts between the commas that stand outside of brackets.
std::vector<std::string> split_outside_brackets(const std::string& list) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (char c : list) {
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (depth < 0 || depth > 1) refuse(list);
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (depth != 0) refuse(list);
  return parts;
}

int64_t number(const std::string& digits, const std::string& list) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) refuse(list);
  return value;
}

// "3-5" -> 3 4 5, as wide as the first is written.
std::vector<std::string> expand_range(const std::string& range, const std::string& list) {
  const size_t dash = range.find('-');
  const std::string first = range.substr(0, dash), last = dash == std::string::npos ? first : range.substr(dash + 1);
  const int64_t begin = number(first, list), end = number(last, list);
  constexpr int64_t most = 1 << 20;
  if (end < begin || end - begin > most) refuse(list);
  std::vector<std::string> all;
  for (int64_t i = begin; i <= end; ++i) {
    std::string digits = std::to_string(i);
    if (digits.size() < first.size()) digits.insert(0, first.size() - digits.size(), '0');
    all.push_back(digits);
  }
  return all;
}

// Names may hold several brackets: "rack[1-2]n[1-2]".
std::vector<std::string> expand_part(const std::string& part, const std::string& list) {
  const size_t open = part.find('['), close = part.find(']');
  if (open == std::string::npos) return {part};
  std::vector<std::string> all;
  const std::vector<std::string> tails = expand_part(part.substr(close + 1), list);
  for (const std::string& range : split_outside_brackets(part.substr(open + 1, close - open - 1)))
    for (const std::string& digits : expand_range(range, list))
      for (const std::string& tail : tails) all.push_back(part.substr(0, open) + digits + tail);
  return all;
}

}  // namespace

std::vector<std::string> expand_hosts(const std::string& list) {
  std::vector<std::string> hosts;
  for (const std::string& part : split_outside_brackets(list)) {
    if (part.empty()) refuse(list);
    for (std::string& host : expand_part(part, list)) hosts.push_back(std::move(host));
  }
  return hosts;
}

}  // namespace rk
