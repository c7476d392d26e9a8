#include "data/chat/python_json.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace rk {
namespace {

// The shortest digits that give the number back, as repr() writes them: with an exponent below 1e-4 and from 1e16 on.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char digits[32];
  const double size = std::abs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end =
      std::to_chars(digits, digits + sizeof digits, value, scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(digits, end.ptr);
  if (!scientific && text.find('.') == text.npos) text += ".0";
  return text;
}

class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}

  void write(const OrderedJson& value, int depth) {
    if (value.is_number_float()) {
      out += number_text(value.get<double>());
    } else if (!value.is_structured()) {
      out += value.dump();
    } else if (value.empty()) {
      out += value.is_object() ? "{}" : "[]";
    } else {
      out += value.is_object() ? '{' : '[';
      bool first = true;
      for (auto it = value.begin(); it != value.end(); ++it) {
        if (!first) out += indent_ > 0 ? "," : ", ";
        first = false;
        new_line(depth + 1);
        if (value.is_object()) out += OrderedJson(it.key()).dump() + ": ";
        write(*it, depth + 1);
      }
      new_line(depth);
      out += value.is_object() ? '}' : ']';
    }
  }

  std::string out;

 private:
  void new_line(int depth) {
    if (indent_ > 0) out += "\n" + std::string(static_cast<size_t>(indent_ * depth), ' ');
  }
  int indent_;
};

}  // namespace

std::optional<OrderedJson> parse_json(std::string_view text) {
  bool too_much = false;
  int n_keys = 0;
  const auto watch = [&](int depth, OrderedJson::parse_event_t event, OrderedJson&) {
    n_keys += event == OrderedJson::parse_event_t::key;
    too_much |= depth > max_json_depth || n_keys > max_json_keys;
    return !too_much;
  };
  OrderedJson value = OrderedJson::parse(text, watch, false);
  if (value.is_discarded() || too_much) return std::nullopt;
  return value;
}

std::string python_json(const OrderedJson& value, int indent) {
  Writer writer(indent);
  writer.write(value, 0);
  return std::move(writer.out);
}

}  // namespace rk
