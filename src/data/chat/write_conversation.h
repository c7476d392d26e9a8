// Conversations as lines of JSON, or as rows.
#pragma once
#include <string>
#include <vector>

#include "data/chat/conversation.h"
#include "data/chat/convert.h"

namespace rk {

// The items that one conversation becomes, without line breaks: one, or with args.split_turns one a turn. What the form cannot say is a
// TextError (offset 0) that says so.
std::vector<std::string> items_of(const Conversation& conversation, ItemForm form, const ConvertArgs& args);

}  // namespace rk
