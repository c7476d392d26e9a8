#include "data/chat/write_conversation.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/chat/speakers.h"
#include "data/text_error.h"

namespace rk {
namespace {

using Object = nlohmann::ordered_json;

[[noreturn]] void cannot(ItemForm form, const std::string& what, const std::string& advice = "") {
  throw TextError(cat(what, ", which form ", name_of(form), " cannot say", advice.empty() ? "" : "; ", advice), 0);
}

// Questions and answers in turn, and nothing that would get lost.
Dialog strict_dialog(const Conversation& conversation, ItemForm form) {
  bool asked = false;
  for (const Message& message : conversation.messages) {
    const Role role = role_of(message.from);
    if (role == Role::observation || role == Role::function_call) cannot(form, cat("the conversation has a message from ", message.from));
    if (role == Role::assistant && !asked) cannot(form, "the conversation has an answer without a question");
    if (role == Role::user || role == Role::assistant) asked = role == Role::user;
  }
  if (asked) cannot(form, "the conversation ends with a question");
  Dialog dialog = dialog_of(conversation, ToolFormat::none, false);
  if (dialog.turns.empty()) cannot(form, "the conversation has no question");
  return dialog;
}

std::string sharegpt_item(const Conversation& conversation) {
  Object messages = Object::array();
  for (const Message& message : conversation.messages) messages.push_back({{"from", message.from}, {"value", message.text}});
  return Object{{"conversations", std::move(messages)}}.dump();
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of("\t\r\n") != std::string::npos) cannot(ItemForm::csv, "a text has a tab or a line break");
  if (!text.starts_with('"')) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string ItemWriter::rwkv_item(const Dialog& dialog) const {
  for (const Turn& turn : dialog.turns) {
    for (const char* label : {"\n\nUser:", "\n\nAssistant:", "\n\nSystem:"}) {
      if (turn.answer.find(label) != std::string::npos)
        cannot(ItemForm::rwkv, cat("an answer has a line that begins with ", std::string_view(label).substr(2)));
    }
  }
  std::string text;
  for (const std::string& part : dialog_texts(rwkv_, dialog)) text += part;
  return Object{{"text", text}}.dump();
}

std::string ItemWriter::turn_item(const Turn& turn, const std::string& system) const {
  if (form_ == ItemForm::csv) return csv_field(turn.question) + "\t" + csv_field(turn.answer);
  if (form_ == ItemForm::qa) return Object{{args_.question, turn.question}, {args_.answer, turn.answer}}.dump();
  Object item{{"instruction", turn.question}, {"input", ""}, {"output", turn.answer}};
  if (!system.empty()) item["system"] = system;
  return item.dump();
}

std::vector<std::string> ItemWriter::items_of(const Conversation& conversation) const {
  if (form_ == ItemForm::sharegpt) return {sharegpt_item(conversation)};
  Dialog dialog = strict_dialog(conversation, form_);
  if (form_ == ItemForm::rwkv) return {rwkv_item(dialog)};
  if (args_.drop_system) dialog.system.clear();
  if (!dialog.system.empty() && form_ != ItemForm::alpaca)
    cannot(form_, "the conversation has a system prompt", "--drop_system leaves it out");
  if (dialog.turns.size() > 1 && !args_.split_turns)
    cannot(form_, cat("the conversation has ", dialog.turns.size(), " questions"),
           "--split_turns makes an item of each, without what was said before");
  std::vector<std::string> items;
  for (const Turn& turn : dialog.turns) items.push_back(turn_item(turn, dialog.system));
  return items;
}

}  // namespace rk
