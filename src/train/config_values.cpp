#include "train/config_values.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>

namespace rk {
namespace {

template <class Number>
std::optional<Number> read_all(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::optional<int64_t> read_whole(std::string_view text) {
  if (const auto value = read_all<int64_t>(text)) return value;
  const auto real = read_real(text);
  if (!real || *real != std::floor(*real) || std::abs(*real) > 0x1p53) return std::nullopt;  // a double counts exactly up to there
  return static_cast<int64_t>(*real);
}

std::optional<double> read_real(std::string_view text) {
  const auto value = read_all<double>(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return value;
}

std::optional<bool> read_yes_no(std::string_view text) {
  const std::string lower = lower_case(text);
  if (lower == "1" || lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "0" || lower == "false" || lower == "no" || lower == "off") return false;
  return std::nullopt;
}

std::optional<Cadence> read_cadence(std::string_view text) {
  const std::string lower = lower_case(text);
  size_t split = lower.size();
  while (split > 0 && std::isalpha(static_cast<unsigned char>(lower[split - 1]))) --split;
  std::string number = lower.substr(0, split);
  const std::string unit = lower.substr(split);
  while (number.ends_with(' ')) number.pop_back();
  const auto every = read_whole(number);
  if (!every || *every < 0) return std::nullopt;
  if (unit.empty() || unit == "step" || unit == "steps") return Cadence{*every, Cadence::Unit::steps};
  if (unit == "token" || unit == "tokens") return Cadence{*every, Cadence::Unit::tokens};
  if (unit == "min" || unit == "minute" || unit == "minutes") return Cadence{*every, Cadence::Unit::minutes};
  return std::nullopt;
}

std::string show_real(double value) { return fmt::format("{}", value); }

std::string show_cadence(const Cadence& cadence) {
  switch (cadence.unit) {
    case Cadence::Unit::steps: return fmt::format("{}steps", cadence.every);
    case Cadence::Unit::tokens: return fmt::format("{}tokens", cadence.every);
    case Cadence::Unit::minutes: return fmt::format("{}min", cadence.every);
  }
  return {};
}

}  // namespace rk
