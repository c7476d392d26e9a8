// Conversations from one form of file to another.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rk {

enum class ItemForm : uint8_t {
  sharegpt,  // {"conversations": [{"from", "value"}, ...]}
  alpaca,    // {"instruction", "input", "output"}, and "system" where there is one
  qa,        // {"input", "output"}, or two other names
  rwkv,      // {"text": "User: ...\n\nAssistant: ..."}
  csv,       // QUESTION tab ANSWER, without a header
  items      // any JSON objects, which stay as they are
};
const char* name_of(ItemForm form);
// Refuses other words with those that exist; `option` names where the word came from.
ItemForm item_form_named(const std::string& word, const std::string& option);

struct ConvertArgs {
  std::string input, output;                          // "-": standard input; output .json = an array, others a line an item
  std::optional<ItemForm> from;                       // none: by the first item
  std::optional<ItemForm> to;                         // none: csv for .csv and .tsv, otherwise sharegpt
  std::string question = "input", answer = "output";  // names of form qa
  bool split_turns = false;                           // each question with its answer becomes an item, where the form has one turn only
  bool drop_system = false;                           // system prompts are left out, where the form has none
  bool skip_errors = false;                           // items that cannot be converted are left out
  std::function<void(int64_t bytes_done)> progress;
};

struct ConvertReport {
  ItemForm from = ItemForm::items, to = ItemForm::items;
  bool from_array = false, to_array = false;
  int64_t items = 0, written = 0, skipped = 0, input_bytes = 0;
  std::vector<std::string> warnings;
};

// The file appears under its name when all is done. Memory does not grow with the input. What is wrong with an item, or cannot be said in
// the other form, is an error naming file:line:column. Questions of form rwkv lose empty lines and white space around them, as its texts
// have it.
ConvertReport convert_conversations(const ConvertArgs& args);

}  // namespace rk
