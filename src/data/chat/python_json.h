// JSON texts as Python's json.dumps(..., ensure_ascii=False) writes them.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace rk {

using OrderedJson = nlohmann::ordered_json;

// Enough for descriptions of tools; more would cost stack, and time that grows with the square.
constexpr int max_json_depth = 100, max_json_keys = 10000;

// Nothing where it is no JSON, or more of it than that.
std::optional<OrderedJson> parse_json(std::string_view text);

// indent 0: one line with ", " and ": ". The depth of `value` is at most max_json_depth.
std::string python_json(const OrderedJson& value, int indent = 0);

}  // namespace rk
