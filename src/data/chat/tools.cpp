#include "data/chat/tools.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/chat/python_json.h"
#include "data/text_blocks.h"
#include "data/text_error.h"

namespace rk {
namespace {

std::string text_member(const OrderedJson& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return "";
  return member->is_string() ? member->get<std::string>() : python_json(*member);
}

std::string joined(const OrderedJson& list) {
  std::string text;
  for (const OrderedJson& item : list)
    text += (text.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : python_json(item));
  return text;
}

// A tool without what may be around it.
const OrderedJson& function_of(const OrderedJson& tool) {
  const bool wrapped = tool.is_object() && tool.contains("function") && text_member(tool, "type") == "function";
  return wrapped ? tool["function"] : tool;
}

OrderedJson wrapped(const OrderedJson& tool) {
  return &function_of(tool) == &tool ? OrderedJson{{"type", "function"}, {"function", tool}} : tool;
}

std::string arguments_text(const OrderedJson& tool) {
  const auto parameters = tool.find("parameters");
  if (parameters == tool.end() || !parameters->is_object() || !parameters->contains("properties")) return "";
  const OrderedJson required = parameters->contains("required") ? (*parameters)["required"] : OrderedJson::array();
  std::string text;
  for (const auto& [name, one] : (*parameters)["properties"].items()) {
    if (!one.is_object()) throw TextError(cat("tools: the parameter \"", name, "\" is not a JSON object"), 0);
    const bool needed = std::find(required.begin(), required.end(), OrderedJson(name)) != required.end();
    text += cat("  - ", name, " (", text_member(one, "type"), needed ? ", required" : "", "): ", text_member(one, "description"));
    if (one.contains("enum") && !one["enum"].empty()) text += cat(", should be one of [", joined(one["enum"]), "]");
    if (one.contains("items") && one["items"].is_object() && !one["items"].empty())
      text += cat(", where each item should be ", text_member(one["items"], "type"));
    text += "\n";
  }
  return text;
}

std::string standard_tools(const OrderedJson& tools) {
  std::string text = "You have access to the following tools:\n", names;
  for (const OrderedJson& wrapped : tools) {
    const OrderedJson& tool = function_of(wrapped);
    const std::string name = text_member(tool, "name");
    text +=
        cat("> Tool Name: ", name, "\nTool Description: ", text_member(tool, "description"), "\nTool Args:\n", arguments_text(tool), "\n");
    names += cat(names.empty() ? "" : ", ", name);
  }
  return cat(text, "Use the following format if using a tool:\n```\nAction: tool name (one of [", names,
             "])\nAction Input: the input to the tool, in a JSON format representing the kwargs "
             "(e.g. ```{\"input\": \"hello world\", \"num_beams\": 5}```)\n```\n");
}

std::string glm4_tools(const OrderedJson& tools) {
  std::string text =
      "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
      "你的任务是针对用户的问题和要求提供适当的答复和支持。# 可用工具";
  for (const OrderedJson& wrapped : tools) {
    const OrderedJson& tool = function_of(wrapped);
    text += cat("\n\n## ", text_member(tool, "name"), "\n\n", python_json(tool, 4), "\n在调用上述函数时，请使用 Json 格式表示调用的参数。");
  }
  return text;
}

std::string mistral_tools(const OrderedJson& tools) {
  OrderedJson all = OrderedJson::array();
  for (const OrderedJson& tool : tools) all.push_back(wrapped(tool));
  return cat("[AVAILABLE_TOOLS] ", python_json(all), "[/AVAILABLE_TOOLS]");
}

std::string qwen_tools(const OrderedJson& tools) {
  std::string text =
      "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
      "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
  for (const OrderedJson& tool : tools) text += "\n" + python_json(wrapped(tool));
  return text +
         "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> "
         "XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
}

std::string call_object(const ToolCall& call) {
  return cat("{\"name\": ", OrderedJson(call.name).dump(), ", \"arguments\": ", call.arguments, "}");
}

std::optional<ToolCall> call_of(const OrderedJson& object) {
  if (!object.is_object() || !object.contains("name") || !object.contains("arguments") || !object["name"].is_string()) return std::nullopt;
  return ToolCall{object["name"].get<std::string>(), python_json(object["arguments"])};
}

using Calls = std::optional<std::vector<ToolCall>>;

// A name and arguments that are JSON; nothing otherwise.
bool add_call(std::vector<ToolCall>& calls, std::string_view name, std::string_view arguments) {
  const auto value = parse_json(arguments);
  if (value) calls.push_back({std::string(name), python_json(*value)});
  return value.has_value();
}

std::string_view without(std::string_view text, char c) {
  while (text.starts_with(c)) text.remove_prefix(1);
  while (text.ends_with(c)) text.remove_suffix(1);
  return text;
}

bool is_name_character(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// "Action: NAME", "Action Input: JSON", again and again.
Calls standard_calls(std::string_view text) {
  constexpr std::string_view action = "Action:", input = "Action Input:";
  std::vector<ToolCall> calls;
  for (size_t at = text.find(action); at != text.npos;) {
    std::string_view rest = strip_white_space(text.substr(at + action.size()));
    size_t length = 0;
    while (length < rest.size() && is_name_character(rest[length])) ++length;
    const std::string_view name = rest.substr(0, length);
    rest = strip_white_space(rest.substr(length));
    if (name.empty() || !rest.starts_with(input)) {
      at = text.find(action, at + 1);
      continue;
    }
    const auto begin = static_cast<size_t>(rest.data() - text.data()) + input.size();
    at = text.find(action, begin);
    if (!add_call(calls, name, without(without(strip_white_space(text.substr(begin, at - begin)), '"'), '`'))) return std::nullopt;
  }
  return calls.empty() ? Calls() : calls;
}

Calls glm4_calls(std::string_view text) {
  const size_t line_end = text.find('\n');
  std::vector<ToolCall> calls;
  if (line_end == text.npos || !add_call(calls, text.substr(0, line_end), strip_white_space(text.substr(line_end + 1))))
    return std::nullopt;
  return calls;
}

Calls mistral_calls(std::string_view text) {
  auto list = parse_json(strip_white_space(text));
  if (!list) return std::nullopt;
  std::vector<ToolCall> calls;
  for (const OrderedJson& object : list->is_array() ? *list : OrderedJson::array({*list})) {
    const auto call = call_of(object);
    if (!call) return std::nullopt;
    calls.push_back(*call);
  }
  return calls;
}

Calls qwen_calls(std::string_view text) {
  constexpr std::string_view open = "<tool_call>", close = "</tool_call>";
  std::vector<ToolCall> calls;
  for (size_t at = text.find(open); at != text.npos;) {
    const size_t begin = at + open.size(), end = text.find(close, begin);
    if (end == text.npos) break;
    const auto object = parse_json(strip_white_space(text.substr(begin, end - begin)));
    const auto call = object ? call_of(*object) : std::nullopt;
    if (!call) return std::nullopt;
    calls.push_back(*call);
    at = text.find(open, end);
  }
  return calls.empty() ? Calls() : calls;
}

}  // namespace

ToolFormat tool_format_named(std::string_view name) {
  if (name.empty() || name == "none") return ToolFormat::none;
  if (name == "default") return ToolFormat::standard;
  if (name == "glm4") return ToolFormat::glm4;
  if (name == "mistral") return ToolFormat::mistral;
  if (name == "qwen") return ToolFormat::qwen;
  fail(cat("--tool_format ", name, " is not known; there are none, default, glm4, mistral, qwen"));
}

std::string tools_text(ToolFormat format, std::string_view json) {
  const auto tools = parse_json(json);
  if (!tools) throw TextError("\"tools\" is not JSON, or too deep or too large", 0);
  if (tools->empty()) return "";
  if (!tools->is_array()) throw TextError("\"tools\" is not a JSON array", 0);
  for (const OrderedJson& tool : *tools) {
    if (!function_of(tool).is_object() || text_member(function_of(tool), "name").empty())
      throw TextError("\"tools\" holds something without a \"name\"", 0);
  }
  switch (format) {
    case ToolFormat::none: return "";
    case ToolFormat::standard: return standard_tools(*tools);
    case ToolFormat::glm4: return glm4_tools(*tools);
    case ToolFormat::mistral: return mistral_tools(*tools);
    case ToolFormat::qwen: return qwen_tools(*tools);
  }
  return "";
}

std::string calls_text(ToolFormat format, std::span<const ToolCall> calls) {
  if (format == ToolFormat::glm4 && calls.size() != 1) throw TextError("tool format glm4 has one call at a time", 0);
  std::string text;
  for (const ToolCall& call : calls) {
    switch (format) {
      case ToolFormat::none: text += cat(text.empty() ? "" : "\n", "Action: ", call.name, "\nAction Input: ", call.arguments); break;
      case ToolFormat::standard: text += cat("Action: ", call.name, "\nAction Input: ", call.arguments, "\n"); break;
      case ToolFormat::glm4: text += cat(call.name, "\n", call.arguments); break;
      case ToolFormat::mistral: text += cat(text.empty() ? "[" : ", ", call_object(call)); break;
      case ToolFormat::qwen: text += cat(text.empty() ? "" : "\n", "<tool_call>\n", call_object(call), "\n</tool_call>"); break;
    }
  }
  return format == ToolFormat::mistral ? text + "]" : text;
}

std::optional<std::vector<ToolCall>> calls_in(ToolFormat format, std::string_view text) {
  switch (format) {
    case ToolFormat::none:
    case ToolFormat::standard: return standard_calls(text);
    case ToolFormat::glm4: return glm4_calls(text);
    case ToolFormat::mistral: return mistral_calls(text);
    case ToolFormat::qwen: return qwen_calls(text);
  }
  return std::nullopt;
}

std::string call_message_text(ToolFormat format, std::string_view json) {
  const auto object = parse_json(json);
  if (!object) throw TextError("a function_call is not JSON, or too deep or too large; {\"name\": ..., \"arguments\": ...} is expected", 0);
  const auto call = call_of(*object);
  return call ? calls_text(format, {&*call, 1}) : std::string(json);
}

std::string observation_text(ToolFormat format, std::string_view text) {
  switch (format) {
    case ToolFormat::none:
    case ToolFormat::standard: return cat("Observation: ", text);
    case ToolFormat::glm4: return cat("<|observation|>\n", text);
    case ToolFormat::mistral: return cat("[TOOL_RESULTS] {\"content\": ", text, "}[/TOOL_RESULTS]");
    case ToolFormat::qwen: return cat("<tool_response>\n", text, "\n</tool_response>");
  }
  return "";
}

}  // namespace rk
