#include "train/mask_id.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace rk {
namespace {

using nlohmann::json;

std::optional<std::string> value_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.empty()) return std::nullopt;
  if (!std::all_of(value.begin(), value.end(), [](const json& id) { return id.is_number_unsigned(); })) return std::nullopt;
  return value.dump();
}

std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '\\' || (next != 'n' && next != 't' && next != '\\')) {
      out += text[i];
      continue;
    }
    out += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
    ++i;
  }
  return out;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : std::string(1, c);
  return out;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? std::string() : text.substr(begin, end - begin + 1);
}

// mask0:A mask1:B, or {mask0: A, mask1: B}, where blanks around the texts are the writer's of the JSON.
bool read_bare(std::string text, std::string& user, std::string& assistant) {
  const bool braces = text.starts_with('{') && text.ends_with('}');
  if (braces) text = text.substr(1, text.size() - 2);
  const size_t second = text.find("mask1:");
  if (!text.starts_with("mask0:") || second == std::string::npos || second < 7) return false;
  if (text[second - 1] != ',' && text[second - 1] != ' ') return false;
  std::string first = text.substr(6, second - 7), last = text.substr(second + 6);
  if (braces) {
    if (first.ends_with(',')) first.pop_back();
    first = trimmed(first), last = trimmed(last);
  }
  user = unescaped(first), assistant = unescaped(last);
  return true;
}

bool read_any(const std::string& text, std::string& user, std::string& assistant) {
  const json object = text.starts_with('{') ? json::parse(text, nullptr, false) : json();
  if (object.is_object()) {
    const auto first = value_of(object.value("mask0", json())), second = value_of(object.value("mask1", json()));
    if (!first || !second || object.size() != 2) return false;
    user = *first, assistant = *second;
    return true;
  }
  if (read_bare(text, user, assistant)) return true;
  const size_t blank = text.find(' ');
  if (text.starts_with('{') || blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos) return false;
  user = unescaped(text.substr(0, blank)), assistant = unescaped(text.substr(blank + 1));
  return true;
}

}  // namespace

bool read_mask_id(const std::string& text, std::string& user, std::string& assistant) {
  if (text.empty()) {
    user.clear(), assistant.clear();
    return true;
  }
  std::string first, second;
  if (!read_any(text, first, second) || first.empty() || second.empty()) return false;
  // what the printed record could not hold
  const std::string shown = show_mask_id(first, second);
  std::string first_again, second_again;
  if (shown.find('"') != std::string::npos || !read_bare(shown, first_again, second_again)) return false;
  if (first != first_again || second != second_again) return false;
  user = first, assistant = second;
  return true;
}

std::string show_mask_id(const std::string& user, const std::string& assistant) {
  if (user.empty() && assistant.empty()) return {};
  return "mask0:" + escaped(user) + " mask1:" + escaped(assistant);
}

}  // namespace rk
