#include "data/chat/conversation.h"

namespace rk {

Role role_of(std::string_view from) {
  if (from == "human" || from == "user") return Role::user;
  if (from == "gpt" || from == "assistant") return Role::assistant;
  if (from == "system") return Role::system;
  if (from == "observation" || from == "tool") return Role::observation;
  return from == "function_call" ? Role::function_call : Role::other;
}

Dialog dialog_of(const Conversation& conversation, ToolFormat tools, bool keep_open) {
  Dialog dialog;
  bool open = false;  // the last turn has no answer yet
  const auto ask = [&](std::string text) {
    if (open) {
      dialog.turns.back().question += "\n" + text;
    } else {
      dialog.turns.push_back({std::move(text), ""});
    }
    open = true;
  };
  const auto answer = [&](std::string text) {
    if (open) dialog.turns.back().answer = std::move(text);
    open = false;
  };
  for (const Message& message : conversation.messages) {
    switch (role_of(message.from)) {
      case Role::system: dialog.system = message.text; break;
      case Role::user: ask(message.text); break;
      case Role::observation: ask(observation_text(tools, message.text)); break;
      case Role::assistant: answer(message.text); break;
      case Role::function_call: answer(call_message_text(tools, message.text)); break;
      case Role::other: break;
    }
  }
  if (open && !keep_open) dialog.turns.pop_back();
  if (tools != ToolFormat::none && !conversation.tools.empty()) {
    const std::string text = tools_text(tools, conversation.tools);
    if (!text.empty()) dialog.system += (dialog.system.empty() ? "" : "\n\n") + text;
  }
  if (dialog.system.empty()) dialog.system = conversation.system;
  return dialog;
}

}  // namespace rk
