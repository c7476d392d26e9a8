#include "data/chat/preference.h"

#include <algorithm>

namespace rk {
namespace {

int64_t n_characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

std::string with_answer(const Template& form, Dialog dialog, const std::string& answer) {
  dialog.turns.back().answer = answer;
  std::string whole;
  for (const std::string& text : dialog_texts(form, dialog)) whole += text;
  return whole;
}

}  // namespace

std::optional<PreferenceTexts> preference_texts(const Template& form, const Dialog& dialog, const AnswerPair& answers) {
  if (dialog.turns.empty()) return std::nullopt;
  const std::string lead = dialog.turns.back().answer.empty() ? form.lead : "";
  return PreferenceTexts{open_prompt(form, dialog), {lead + answers.chosen, lead + answers.rejected}};
}

bool preference_fits(const PreferenceTexts& texts, int64_t max_characters) {
  const auto fits = [&](const std::string& answer) {
    const int64_t n = n_characters(texts.prompt) + n_characters(answer);
    return n > 0 && n <= max_characters;
  };
  return fits(texts.answers.chosen) && fits(texts.answers.rejected);
}

std::optional<AnswerPair> reward_texts(const Template& form, const Dialog& dialog, const AnswerPair& answers) {
  if (dialog.turns.empty()) return std::nullopt;
  return AnswerPair{with_answer(form, dialog, answers.chosen), with_answer(form, dialog, answers.rejected)};
}

std::vector<std::string> ppo_prompts(const Template& form, const Conversation& conversation) {
  const std::vector<Message>& messages = conversation.messages;
  const size_t first = !messages.empty() && messages.front().from != "human" ? 1 : 0;
  Dialog dialog{conversation.system, {}};
  size_t taken = 0;
  for (size_t j = 0; first + j < messages.size(); ++j) {
    const Message& message = messages[first + j];
    if (message.from != "human" && message.from != "gpt") break;
    if (message.from != (j % 2 == 0 ? "human" : "gpt")) continue;
    if (taken % 2 == 0) dialog.turns.emplace_back();
    (taken % 2 == 0 ? dialog.turns.back().question : dialog.turns.back().answer) = message.text;
    ++taken;
  }
  std::vector<std::string> prompts;
  if (taken % 2 != 0) return prompts;
  const std::vector<std::string> texts = dialog_texts(form, dialog);
  for (size_t k = 0; k < texts.size(); k += 2) prompts.push_back(texts[k]);
  return prompts;
}

}  // namespace rk
