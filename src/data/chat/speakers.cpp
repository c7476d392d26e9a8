#include "data/chat/speakers.h"

#include <algorithm>

namespace rk {
namespace {

constexpr std::string_view empty_line = "\n\n";
constexpr std::pair<Role, std::string_view> labels[] = {{Role::user, "User:"}, {Role::assistant, "Assistant:"}, {Role::system, "System:"}};

}  // namespace

std::vector<SpeakerBlock> speaker_blocks(std::string_view text) {
  std::vector<SpeakerBlock> blocks;
  for (size_t at = 0; at < text.size();) {
    for (const auto& [role, label] : labels) {
      if (!text.substr(at).starts_with(label)) continue;
      if (!blocks.empty()) blocks.back().end = at - empty_line.size();
      blocks.push_back({role, at, at + label.size(), text.size()});
      break;
    }
    // of three line breaks in a row the last two are an empty line as well
    const size_t next = text.find(empty_line, at >= empty_line.size() ? at - 1 : at);
    if (next == text.npos) break;
    at = next + empty_line.size();
  }
  return blocks;
}

std::vector<ByteSpan> answer_spans(std::string_view text) {
  const std::vector<SpeakerBlock> blocks = speaker_blocks(text);
  std::vector<ByteSpan> spans;
  for (size_t k = 0; k < blocks.size(); ++k) {
    if (blocks[k].role != Role::assistant) continue;
    const bool last = k + 1 == blocks.size();
    spans.push_back({blocks[k].text, last ? text.size() : blocks[k + 1].role == Role::user ? blocks[k + 1].text : blocks[k + 1].label});
  }
  return spans;
}

std::vector<ByteSpan> script_spans(std::string_view text, std::string_view name) {
  const std::string opening = std::string(name) + ":";
  std::vector<ByteSpan> spans;
  for (size_t at = 0; (at = text.find(opening, at)) != text.npos;) {
    const size_t begin = at + opening.size();
    if (at != 0 && !text.substr(0, at).ends_with(empty_line)) {
      ++at;
      continue;
    }
    const size_t line = text.find(empty_line, begin);
    at = line == text.npos ? text.size() : line + empty_line.size();
    spans.push_back({begin, line == text.npos && text.ends_with('\n') && text.size() > begin ? at - 1 : at});
  }
  return spans;
}

}  // namespace rk
