// Tools that a model may call, and how templates of models write them into text.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

// none: calls as Action and Action Input, and nothing is said about the tools there are.
enum class ToolFormat : uint8_t { none, standard, glm4, mistral, qwen };

// "" or "none", default, glm4, mistral, qwen; refuses others.
ToolFormat tool_format_named(std::string_view name);

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON as text
  bool operator==(const ToolCall&) const = default;
};

// `json` is an array of {"name", "description"?, "parameters"?}, each perhaps as {"type": "function", "function": ...}. "" with none.
// Refusals are TextErrors (offset 0).
std::string tools_text(ToolFormat format, std::string_view json);
// glm4 has one call at a time.
std::string calls_text(ToolFormat format, std::span<const ToolCall> calls);
// The calls in what a model wrote; nothing where it is another text.
std::optional<std::vector<ToolCall>> calls_in(ToolFormat format, std::string_view text);
// The text of a message that is one call, {"name", "arguments"} as JSON; JSON of another form stays as it is. What is no JSON is a
// TextError (offset 0).
std::string call_message_text(ToolFormat format, std::string_view json);
std::string observation_text(ToolFormat format, std::string_view text);

}  // namespace rk
