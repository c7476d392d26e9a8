// Texts for training on preferences: which of two answers is the better one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/chat/conversation.h"

namespace rk {

struct AnswerPair {
  std::string chosen, rejected;
};

struct PreferenceTexts {
  std::string prompt;
  AnswerPair answers;
};

// `dialog` keeps its open question. For DPO: the whole conversation is the prompt, either answer goes on from there. Nothing where
// nobody asks.
std::optional<PreferenceTexts> preference_texts(const Template& form, const Dialog& dialog, const AnswerPair& answers);

// Both answers with the prompt have 1 to max_characters characters.
bool preference_fits(const PreferenceTexts& texts, int64_t max_characters);

// For a reward model: whole conversations, in which the last question has the one answer and the other.
std::optional<AnswerPair> reward_texts(const Template& form, const Dialog& dialog, const AnswerPair& answers);

// For PPO: the text of every question is a prompt of its own. Roles are human and gpt alone: one other message in front is passed over,
// the next other one ends the conversation, and what does not take its turn is left out. Nothing where a question has no answer.
std::vector<std::string> ppo_prompts(const Template& form, const Conversation& conversation);

}  // namespace rk
