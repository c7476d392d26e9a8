#include "data/chat/read_conversation.h"

#include <array>

#include "base/error.h"
#include "data/chat/speakers.h"
#include "data/json_reader.h"
#include "data/json_text.h"
#include "data/text_blocks.h"
#include "data/text_error.h"

namespace rk {
namespace {

// Members of an object that are asked for by name.
template <size_t n>
class Members {
 public:
  // The reader is at the object; afterwards it is behind it.
  Members(JsonReader& reader, const std::array<std::string_view, n>& keys) : reader_(reader), keys_(keys) {
    reader.next();
    begin_ = reader.at();
    reader.object(keys_, places_);
  }

  bool has(size_t k) const { return places_[k] != JsonReader::absent; }
  size_t place(size_t k) const { return places_[k]; }

  std::string text(size_t k) {
    if (!has(k)) throw TextError(cat("the object has no key \"", keys_[k], '"'), begin_);
    reader_.seek(places_[k]);
    if (reader_.next() != '"') reader_.refuse(cat("the value of \"", keys_[k], "\" is not a string"));
    return std::string(reader_.string(scratch_));
  }

  // "" where there is none, or null.
  std::string text_or_nothing(size_t k) {
    if (!has(k)) return "";
    reader_.seek(places_[k]);
    return reader_.next() == 'n' ? "" : text(k);
  }

  // Of the two, the one that is there.
  size_t either(size_t a, size_t b) const {
    if (!has(a) && !has(b)) throw TextError(cat("the object has neither \"", keys_[a], "\" nor \"", keys_[b], '"'), begin_);
    return has(a) ? a : b;
  }

 private:
  JsonReader& reader_;
  std::array<std::string_view, n> keys_;
  std::array<size_t, n> places_;
  size_t begin_ = 0;
  std::string scratch_;
};

template <size_t n>
Members<n> line_members(JsonReader& reader, const std::array<std::string_view, n>& keys) {
  Members<n> members(reader, keys);
  reader.end();
  return members;
}

Message read_message(JsonReader& reader) {
  Members<4> members(reader, {"from", "role", "value", "content"});
  const size_t end = reader.at(), role = members.either(0, 1);
  Message message;
  message.from = members.text(role);
  if (role_of(message.from) == Role::other) {
    throw TextError(cat("the role \"", std::string_view(message.from).substr(0, 80), "\" is not known; ", known_roles, " is expected"),
                    members.place(role));
  }
  message.text = members.text(members.either(2, 3));
  reader.seek(end);
  return message;
}

// Tools are JSON in a string, or JSON.
std::string read_tools(JsonReader& reader, Members<5>& members, size_t k) {
  if (!members.has(k)) return "";
  reader.seek(members.place(k));
  if (reader.next() != '[') return members.text_or_nothing(k);
  const size_t begin = reader.at();
  reader.skip_value();
  return std::string(reader.text().substr(begin, reader.at() - begin));
}

Conversation read_sharegpt(std::string_view line) {
  JsonReader reader(line);
  Members<5> members = line_members<5>(reader, {"conversations", "messages", "system_prompt", "system", "tools"});
  Conversation conversation;
  const size_t list = members.either(0, 1);
  reader.seek(members.place(list));
  if (reader.next() != '[') reader.refuse("a conversation is a JSON array of messages {\"from\", \"value\"}");
  reader.array([&] { conversation.messages.push_back(read_message(reader)); });
  conversation.system = members.text_or_nothing(members.has(2) ? 2 : 3);
  conversation.tools = read_tools(reader, members, 4);
  return conversation;
}

Conversation read_alpaca(std::string_view line) {
  JsonReader reader(line);
  Members<4> members = line_members<4>(reader, {"instruction", "input", "output", "system"});
  std::string question = members.text(0);
  const std::string input = members.text_or_nothing(1);
  if (!strip_white_space(input).empty()) question += "\n\n" + input;
  Conversation conversation;
  conversation.system = members.text_or_nothing(3);
  conversation.messages = {{"human", std::move(question)}, {"gpt", members.text(2)}};
  return conversation;
}

Conversation read_rwkv(std::string_view line) {
  std::string unescaped;
  const std::string_view text = json_text(line, "text", unescaped);
  const std::vector<SpeakerBlock> blocks = speaker_blocks(text);
  if (blocks.empty() || blocks.front().label != 0)
    throw TextError("the text does not begin with \"User:\", \"Assistant:\" or \"System:\"", 0);
  Conversation conversation;
  for (const SpeakerBlock& block : blocks) {
    std::string_view said = text.substr(block.text, block.end - block.text);
    const bool open = said.empty() && &block == &blocks.back() && block.role == Role::assistant;
    if (open) break;
    if (said.starts_with(' ')) said.remove_prefix(1);
    const char* from = block.role == Role::user ? "human" : block.role == Role::assistant ? "gpt" : "system";
    conversation.messages.push_back({from, std::string(said)});
  }
  return conversation;
}

}  // namespace

Turn read_question(std::string_view line, std::string_view question, std::string_view answer) {
  JsonReader reader(line);
  Members<2> members = line_members<2>(reader, {question, answer});
  Turn turn;
  turn.question = members.text(0);
  turn.answer = members.text(1);
  return turn;
}

Conversation read_conversation(ConversationForm form, std::string_view line) {
  switch (form) {
    case ConversationForm::sharegpt: return read_sharegpt(line);
    case ConversationForm::alpaca: return read_alpaca(line);
    case ConversationForm::rwkv: return read_rwkv(line);
    case ConversationForm::qa: break;
  }
  Turn turn = read_question(line, "input", "output");
  return {"", "", {{"human", std::move(turn.question)}, {"gpt", std::move(turn.answer)}}};
}

}  // namespace rk
