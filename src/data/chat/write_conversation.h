// Conversations as lines of JSON, or as rows.
#pragma once
#include <string>
#include <vector>

#include "data/chat/conversation.h"
#include "data/chat/convert.h"

namespace rk {

class ItemWriter {
 public:
  ItemWriter(ItemForm form, const ConvertArgs& args) : form_(form), args_(args), rwkv_(find_template("rwkv")) {}

  // The items that one conversation becomes, without line breaks: one, or with args.split_turns one a turn. What the form cannot say is a
  // TextError (offset 0) that says so.
  std::vector<std::string> items_of(const Conversation& conversation) const;

 private:
  std::string rwkv_item(const Dialog& dialog) const;
  std::string turn_item(const Turn& turn, const std::string& system) const;

  ItemForm form_;
  const ConvertArgs& args_;
  Template rwkv_;
};

}  // namespace rk
