// Who speaks where in a text, by the names in front of what is said.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/conversation.h"

namespace rk {

// Bytes [begin, end).
struct ByteSpan {
  size_t begin = 0, end = 0;
  bool operator==(const ByteSpan&) const = default;
};

// A part of RWKV chat text: a label (User:, Assistant:, System:) at the start of the text or behind an empty line, and all up to the next.
struct SpeakerBlock {
  Role role = Role::other;  // user, assistant, system
  size_t label = 0;         // where the label begins
  size_t text = 0;          // where what is said begins, right behind the label
  size_t end = 0;           // where the empty line in front of the next label begins, or the text ends
};
std::vector<SpeakerBlock> speaker_blocks(std::string_view text);

// What the assistant says, and what ends it: the empty line and the label of the user who is next; at the end of the text nothing
// (an end-of-document id may follow).
std::vector<ByteSpan> answer_spans(std::string_view text);

// What `name` says in a script of lines "NAME: words" with empty lines between: from behind the colon over the next empty line, or up to
// the end of the text without a last line break.
std::vector<ByteSpan> script_spans(std::string_view text, std::string_view name);

}  // namespace rk
