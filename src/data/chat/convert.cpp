#include "data/chat/convert.h"

#include <array>

#include "base/error.h"
#include "data/chat/item_reader.h"
#include "data/chat/read_conversation.h"
#include "data/chat/write_conversation.h"
#include "data/json_reader.h"
#include "data/staged_file.h"
#include "data/text_blocks.h"
#include "data/text_error.h"
#include "data/utf8.h"

namespace rk {
namespace {

constexpr std::pair<ItemForm, const char*> form_names[] = {
    {ItemForm::sharegpt, "sharegpt"}, {ItemForm::alpaca, "alpaca"}, {ItemForm::qa, "qa"},
    {ItemForm::rwkv, "rwkv"},         {ItemForm::csv, "csv"},       {ItemForm::items, "items"}};

bool is_csv_name(const std::string& path) { return path.ends_with(".csv") || path.ends_with(".tsv"); }

// By the keys of an object, or the tab of a row; nothing where neither tells.
std::optional<ItemForm> form_of(std::string_view item, const ConvertArgs& args) {
  if (!strip_white_space(item).starts_with('{')) return item.find('\t') != item.npos ? std::optional(ItemForm::csv) : std::nullopt;
  const std::array<std::string_view, 6> keys{"conversations", "messages", "instruction", args.question, args.answer, "text"};
  std::array<size_t, 6> places;
  JsonReader(item).object(keys, places);
  const auto has = [&](size_t k) { return places[k] != JsonReader::absent; };
  if (has(0) || has(1)) return ItemForm::sharegpt;
  if (has(2)) return ItemForm::alpaca;
  if (has(3) && has(4)) return ItemForm::qa;
  return has(5) ? std::optional(ItemForm::rwkv) : std::nullopt;
}

// Spaces around the tokens of one JSON value, line breaks among them, go.
std::string one_line(std::string_view json) {
  JsonReader reader(json);
  if (reader.next() != '{') reader.refuse("the item is not a JSON object");
  reader.skip_value();
  reader.end();
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') out.push_back(json[i++]);
    if (c == '"') in_string = !in_string;
    if (in_string || (c != ' ' && c != '\t' && c != '\n' && c != '\r')) out.push_back(json[i]);
  }
  return out;
}

std::string csv_text(std::string_view field) {
  if (field.size() < 2 || !field.starts_with('"') || !field.ends_with('"')) return std::string(field);
  std::string text;
  for (size_t i = 1; i + 1 < field.size(); ++i) {
    text.push_back(field[i]);
    if (field[i] == '"' && field[i + 1] == '"' && i + 2 < field.size()) ++i;
  }
  return text;
}

Turn read_row(std::string_view row) {
  if (const size_t valid = valid_utf8_prefix(row); valid != row.size()) throw TextError("invalid UTF-8", valid);
  const size_t tab = row.find('\t');
  if (tab == row.npos) throw TextError("the row has no tab; QUESTION, a tab, ANSWER is expected", row.size());
  if (const size_t second = row.find('\t', tab + 1); second != row.npos)
    throw TextError("the row has a second tab; QUESTION, a tab, ANSWER is expected", second);
  return {csv_text(row.substr(0, tab)), csv_text(row.substr(tab + 1))};
}

Conversation read_item(std::string_view item, ItemForm form, const ConvertArgs& args) {
  switch (form) {
    case ItemForm::sharegpt: return read_conversation(ConversationForm::sharegpt, item);
    case ItemForm::alpaca: return read_conversation(ConversationForm::alpaca, item);
    case ItemForm::rwkv: return read_conversation(ConversationForm::rwkv, item);
    default: break;
  }
  Turn turn = form == ItemForm::csv ? read_row(item) : read_question(item, args.question, args.answer);
  return {"", "", {{"human", std::move(turn.question)}, {"gpt", std::move(turn.answer)}}};
}

class Output {
 public:
  Output(const std::string& path, bool array) : file_(path), array_(array) {}
  void add(const std::string& item) {
    write(n_++ == 0 ? (array_ ? "[\n" : "") : array_ ? ",\n" : "\n");
    write(item);
  }
  void commit() {
    if (array_) write(n_ == 0 ? "[" : "\n");
    if (array_) write("]");
    if (array_ || n_ > 0) write("\n");
    file_.finish();
    file_.commit();
  }

 private:
  void write(std::string_view text) { file_.write(text.data(), text.size()); }
  StagedFile file_;
  bool array_;
  int64_t n_ = 0;
};

class Converter {
 public:
  Converter(const ConvertArgs& args, ConvertReport& report) : args_(args), report_(report), writer_(report.to, args) {}

  std::vector<std::string> convert(std::string_view item) {
    if (report_.to == ItemForm::items) return {one_line(item)};
    Conversation conversation = read_item(item, report_.from, args_);
    if (report_.to == ItemForm::sharegpt) keep_system(conversation);
    return writer_.items_of(conversation);
  }

  void warn() const {
    if (lost_ > 0)
      report_.warnings.push_back(cat("of ", lost_, " items system_prompt or tools, which stand beside the messages, were left out"));
  }

 private:
  // A system prompt beside the messages becomes one of them; that of ShareGPT itself is dropped with all other keys, as the reference does.
  void keep_system(Conversation& conversation) {
    if (report_.from == ItemForm::sharegpt) {
      lost_ += !conversation.system.empty() || !conversation.tools.empty();
    } else if (!conversation.system.empty()) {
      conversation.messages.insert(conversation.messages.begin(), {"system", conversation.system});
    }
  }

  const ConvertArgs& args_;
  ConvertReport& report_;
  ItemWriter writer_;
  int64_t lost_ = 0;
};

}  // namespace

const char* name_of(ItemForm form) {
  for (const auto& [value, name] : form_names) {
    if (value == form) return name;
  }
  return "";
}

ItemForm item_form_named(const std::string& word, const std::string& option) {
  std::string known;
  for (const auto& [form, name] : form_names) {
    if (word == name) return form;
    known += cat(known.empty() ? "" : ", ", name);
  }
  fail(cat(option, " ", word, " is no form of conversations; there are ", known));
}

ConvertReport convert_conversations(const ConvertArgs& args) {
  ConvertReport report;
  report.to = args.to                        ? *args.to
              : is_csv_name(args.output)     ? ItemForm::csv
              : args.from == ItemForm::items ? ItemForm::items
                                             : ItemForm::sharegpt;
  report.to_array = args.output.ends_with(".json") && report.to != ItemForm::csv;
  const bool rows = args.from == ItemForm::csv || (!args.from && is_csv_name(args.input));
  if (args.from == ItemForm::items && report.to != ItemForm::items)
    fail("--from items has no conversations to convert; give --to items, or the form of the input");
  ItemReader reader(args.input, rows);
  report.from_array = reader.is_array();
  std::optional<ItemForm> from = rows ? ItemForm::csv : report.to == ItemForm::items ? ItemForm::items : args.from;
  Output output(args.output, report.to_array);
  Converter converter(args, report);
  for (TextItem item; reader.next(item);) {
    ++report.items;
    try {
      if (!from && !(from = form_of(item.text, args)))
        reader.refuse(item, 0,
                      "the form of the conversations cannot be told by the first item; --from sharegpt, alpaca, qa, rwkv or csv tells it");
      report.from = *from;
      for (const std::string& converted : converter.convert(item.text)) {
        output.add(converted);
        ++report.written;
      }
    } catch (const TextError& e) {
      if (!args.skip_errors || !from) reader.refuse(item, e.offset(), e.what());
      if (report.skipped++ == 0)
        report.warnings.push_back(cat(reader.place(item, e.offset()), ": ", e.what(), " (the first one left out)"));
    }
    if (args.progress) args.progress(reader.n_bytes());
  }
  if (report.items == 0) fail(cat(args.input, ": there are no items in it"));
  converter.warn();
  report.input_bytes = reader.n_bytes();
  output.commit();
  return report;
}

}  // namespace rk
