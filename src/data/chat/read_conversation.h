// Conversations from lines of JSON.
#pragma once
#include <string>
#include <string_view>

#include "data/chat/conversation.h"

namespace rk {

enum class ConversationForm : uint8_t {
  sharegpt,  // {"conversations": [{"from", "value"}, ...], "system_prompt"?, "tools"?}; "messages", "role" and "content" mean the same
  alpaca,    // {"instruction", "input"?, "output", "system"?}
  qa,        // {"input", "output"}
  rwkv       // {"text": "User: ...\n\nAssistant: ..."}, perhaps with "System: ..." first
};

// `line`: one JSON object. What is wrong is a TextError with its offset in the line; so is a role that is not known, and a text of form
// rwkv that begins otherwise. Other keys mean nothing; of equal ones the last counts.
Conversation read_conversation(ConversationForm form, std::string_view line);

// A question and its answer under two names.
Turn read_question(std::string_view line, std::string_view question, std::string_view answer);

}  // namespace rk
