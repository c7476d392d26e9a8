// Who said what, and how messages become questions with answers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/template.h"
#include "data/chat/tools.h"

namespace rk {

enum class Role : uint8_t { system, user, assistant, observation, function_call, other };

// The names of ShareGPT and of chat APIs: human, user; gpt, assistant; system; observation, tool; function_call.
Role role_of(std::string_view from);
constexpr const char* known_roles = "human, user, gpt, assistant, system, observation, tool or function_call";

struct Message {
  std::string from, text;
};

struct Conversation {
  std::string system;  // where no message is the system's; "" = none
  std::string tools;   // a JSON array of tools as text; "" = none
  std::vector<Message> messages;
};

// As MedicalGPT makes samples: the last system message is the system prompt, the description of the tools follows it; users and
// observations ask, assistants and calls answer; questions that follow each other are joined by line breaks, answers without a question
// are left out, and so are messages of other roles. A call that is no JSON object with name and arguments, or tools that are none, is a
// TextError (offset 0).
// keep_open: a question without an answer stays as the last turn, with an empty answer; otherwise it is left out.
Dialog dialog_of(const Conversation& conversation, ToolFormat tools, bool keep_open);

}  // namespace rk
