#include "data/tokenizers/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "data/tokenizers/byte_level.h"
#include "data/utf8.h"

namespace rk {
namespace {

using nlohmann::json;

constexpr int64_t max_id = (1 << 20) - 1;  // bounds the memory that a damaged file can ask for

class Reader {
 public:
  Reader(const json& root, const std::string& file) : root_(root), file_(file) {}

  TokenizerJson read() {
    if (!root_.is_object() || !root_.contains("model")) refuse("not a tokenizer.json (an object with \"model\" is expected)");
    read_stages();
    read_vocabulary();
    read_added();
    read_merges();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& reason, Where at = Where::here()) const {
    fail(cat(file_, ": ", reason), ExitCode::bad_input, at);
  }

  static const json& member(const json& object, const char* name) {
    static const json nothing;
    const auto found = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && found != object.end() ? *found : nothing;
  }

  // "NFC" of {"type": "NFC"}; "" of null.
  std::string type_of(const char* stage) const {
    const json& value = member(root_, stage);
    if (value.is_null()) return "";
    const json& type = member(value, "type");
    if (!type.is_string()) refuse(cat("\"", stage, "\" has no type"));
    return type;
  }

  // `value` must be null, false, "" or `allowed`.
  void refuse_set(const json& value, const std::string& what) const {
    const bool off = value.is_null() || value == json(false) || value == json("") || value == json(0);
    if (!off) refuse(cat(what, " = ", value.dump(), " is not supported"));
  }

  void read_stages() {
    if (const std::string type = type_of("normalizer"); type == "NFC") {
      out_.nfc = true;
    } else if (!type.empty()) {
      refuse(cat("the normalizer ", type, " is not supported; NFC and none are"));
    }
    if (const std::string type = type_of("pre_tokenizer"); type != "ByteLevel")
      refuse(cat("the pre-tokenizer ", type.empty() ? "null" : type, " is not supported; ByteLevel is"));
    const json& pre = member(root_, "pre_tokenizer");
    refuse_set(member(pre, "add_prefix_space"), "ByteLevel's add_prefix_space");
    if (member(pre, "use_regex") == json(false)) refuse("ByteLevel's use_regex = false is not supported");
    for (const char* stage : {"decoder", "post_processor"}) {
      const std::string type = type_of(stage);
      if (!type.empty() && type != "ByteLevel") refuse(cat("the ", stage, " ", type, " is not supported; ByteLevel is"));
    }
    for (const char* name : {"truncation", "padding"}) refuse_set(member(root_, name), name);
    const json& model = member(root_, "model");
    const json& type = member(model, "type");
    if (!type.is_null() && type != json("BPE")) refuse(cat("the model ", type.dump(), " is not supported; BPE is"));
    for (const char* name : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
      refuse_set(member(model, name), cat("the model's ", name));
  }

  int32_t id_of(const json& value, const std::string& token) const {
    if (!value.is_number_integer() || value < 0 || value > max_id)
      refuse(cat("the id of \"", token, "\", ", value.dump(), ", is not in 0..", max_id));
    return value;
  }

  std::string& place_of(int32_t id) {
    const size_t i = static_cast<size_t>(id);
    if (i >= out_.tokens.size()) out_.tokens.resize(i + 1);
    return out_.tokens[i];
  }

  void read_vocabulary() {
    const json& vocab = member(member(root_, "model"), "vocab");
    if (!vocab.is_object() || vocab.empty()) refuse("the model's vocab is not an object {\"token\": id, ...}");
    std::string bytes;
    for (const auto& [token, value] : vocab.items()) {
      if (token.empty()) refuse("the vocabulary holds an empty token");
      const int32_t id = id_of(value, token);
      if (!place_of(id).empty()) refuse(cat("id ", id, " has two tokens, one of them \"", token, "\""));
      place_of(id) = bytes_of_byte_level(token, bytes) ? bytes : token;
      id_of_[token] = id;
    }
  }

  void read_added() {
    const json& added = member(root_, "added_tokens");
    if (added.is_null()) return;
    if (!added.is_array()) refuse("\"added_tokens\" is not a list");
    for (const json& entry : added) {
      const json& content = member(entry, "content");
      if (!content.is_string() || content.get_ref<const std::string&>().empty()) refuse("an added token has no content");
      AddedToken token;
      token.text = content;
      token.id = id_of(member(entry, "id"), token.text);
      for (const char* name : {"single_word", "lstrip", "rstrip"})
        refuse_set(member(entry, name), cat("the added token \"", token.text, "\": ", name));
      token.normalized = member(entry, "normalized") == json(true);
      token.special = member(entry, "special") == json(true);
      const auto known = id_of_.find(token.text);
      if (known != id_of_.end() ? known->second != token.id : !place_of(token.id).empty())
        refuse(cat("the added token \"", token.text, "\" and the vocabulary do not agree on id ", token.id));
      place_of(token.id) = token.text;
      out_.added.push_back(std::move(token));
    }
  }

  // "LEFT RIGHT", or ["LEFT", "RIGHT"].
  std::pair<std::string, std::string> parts_of(const json& merge, size_t rank) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) return {merge[0], merge[1]};
    if (merge.is_string()) {
      const std::string& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != text.npos && space == text.rfind(' ')) return {text.substr(0, space), text.substr(space + 1)};
    }
    refuse(cat("merge ", rank, ", ", merge.dump(), ", is not a pair of tokens"));
  }

  void read_merges() {
    const json& merges = member(member(root_, "model"), "merges");
    if (!merges.is_array()) refuse("the model's merges are not a list");
    const auto id = [&](const std::string& token, size_t rank) {
      const auto found = id_of_.find(token);
      if (found == id_of_.end()) refuse(cat("merge ", rank, ": \"", token, "\" is not in the vocabulary"));
      return found->second;
    };
    out_.merges.reserve(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const auto [left, right] = parts_of(merges[rank], rank);
      out_.merges.push_back({id(left, rank), id(right, rank), id(left + right, rank)});
    }
  }

  const json& root_;
  const std::string& file_;
  TokenizerJson out_;
  std::unordered_map<std::string, int32_t> id_of_;
};

}  // namespace

TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& file_name) {
  json root;
  try {
    root = json::parse(text);
  } catch (const json::parse_error& e) {
    fail(cat(file_name, ": byte ", e.byte, ": not JSON: ", e.what()));
  } catch (const json::out_of_range& e) {  // a number
    fail(cat(file_name, ": not JSON that can be read: ", e.what()));
  }
  return Reader(root, file_name).read();
}

}  // namespace rk
