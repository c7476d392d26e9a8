// Golden cases of conversations: templates, labels, tools, preferences, and who speaks in a script.
#include <algorithm>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "data/chat/block_packing.h"
#include "data/chat/convert.h"
#include "data/chat/labels.h"
#include "data/chat/preference.h"
#include "data/chat/python_json.h"
#include "data/chat/speakers.h"
#include "data/chat/token_spans.h"
#include "data/text_error.h"
#include "data/utf8.h"
#include "golden/data_support.h"
#include "golden/handlers.h"

namespace rk::golden {
namespace {

using nlohmann::json;

std::string text_or_nothing(const json& value) { return value.is_null() ? "" : value.get<std::string>(); }

Conversation conversation_of(const json& messages) {
  Conversation c;
  for (const json& m : messages) c.messages.push_back({m.at("from"), m.at("value")});
  return c;
}

Dialog dialog_of_pairs(const json& row) {
  Dialog dialog{row.at("system_prompt"), {}};
  for (const json& pair : row.at("messages")) dialog.turns.push_back({pair.at(0), pair.at(1)});
  return dialog;
}

void compare_template(const std::string& name, const json& expected, Check& check) {
  const std::string what = cat("template ", name);
  refuse_unknown(expected, {"system_prompt", "prompt", "sep", "stop_str", "roles"}, what, check);
  const Template form = find_template(name);
  check.exact(what + " system_prompt", expected.at("system_prompt") == form.system);
  check.exact(what + " prompt", expected.at("prompt") == form.prompt);
  check.exact(what + " sep", expected.at("sep") == form.sep);
  check.exact(what + " stop_str", expected.at("stop_str") == form.stop);
}

}  // namespace

void run_prompts(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"template_names"}, c.label, check);
  const json templates = json::parse(read_whole(c.path("templates.json")));
  for (const json& name : c.json.at("template_names")) check.exact(cat(name, " is described"), templates.contains(name));
  for (const auto& [name, expected] : templates.items()) compare_template(name, expected, check);
  for (const json& row : read_rows(c.path("dialogs.jsonl"))) {
    const std::string what = cat("dialog ", row.at("template"), " ", row.at("conv"));
    refuse_unknown(row, {"template", "conv", "system_prompt", "messages", "dialog"}, what, check);
    const Template form = find_template(row.at("template"));
    const Dialog dialog = dialog_of_pairs(row);
    check.exact(what, row.at("dialog") == dialog_texts(form, dialog));
    std::string prompt;
    for (const json& text : row.at("dialog")) prompt += text.get<std::string>();
    check.exact(what + " as one text", prompt == open_prompt(form, dialog));
  }
}

void run_rwkv_chat(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  const Template form = find_template("rwkv");
  for (const json& row : read_rows(c.path("chat.jsonl"))) {
    const std::string what = cat("chat ", row.at("turns"));
    refuse_unknown(row, {"system", "turns", "think", "text"}, what, check);
    Dialog dialog{row.at("system"), {}};
    for (const json& turn : row.at("turns")) dialog.turns.push_back({turn.at(0), text_or_nothing(turn.at(1))});
    dialog.turns.back().question += row.at("think").at("user_suffix").get<std::string>();
    if (row.at("turns").back().at(1).is_null()) dialog.turns.back().answer = row.at("think").at("assistant");
    check.exact(what, row.at("text") == open_prompt(form, dialog));
  }
}

namespace {

// One token a code point; the ids behind them end turns and begin samples.
class CodePointTokenizer : public Tokenizer {
 public:
  static constexpr int32_t begin_token = 0x110001;
  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    while (!bytes.empty()) {
      const CodePoint c = first_code_point(bytes);
      ids.push_back(static_cast<int32_t>(c.value));
      bytes.remove_prefix(static_cast<size_t>(c.n_bytes));
    }
  }
  size_t split_point(std::string_view) const override { return 0; }
  std::string_view bytes_of(int32_t id) const override {
    bytes_.clear();
    append_utf8(bytes_, static_cast<char32_t>(id));
    return bytes_;
  }
  int64_t vocab_size() const override { return begin_token + 1; }
  int32_t end_of_document() const override { return 0x110000; }
  std::string name() const override { return "code points"; }

 private:
  mutable std::string bytes_;
};

// Pieces as the case has them: consecutive tokens of one kind and label.
json pieces_of(const EncodedSample& sample, const CodePointTokenizer& tokenizer) {
  json pieces = json::array();
  for (size_t i = 0; i < sample.tokens.size(); ++i) {
    const int32_t id = sample.tokens[i];
    const char* kind = id == tokenizer.end_of_document() ? "eos" : id == tokenizer.begin_token ? "bos" : "text";
    const std::string text = *kind == 't' ? std::string(tokenizer.bytes_of(id)) : "";
    const int label = sample.counted[i];
    if (!text.empty() && !pieces.empty() && pieces.back()[0] == kind && pieces.back()[2] == label) {
      pieces.back()[1] = pieces.back()[1].get<std::string>() + text;
    } else {
      pieces.push_back({kind, text, label});
    }
  }
  return pieces;
}

}  // namespace

void run_sft_labels(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ignore_index"}, c.label, check);
  const json conversations = json::parse(read_whole(c.path("conversations.json")));
  const std::string tools = read_whole(c.path("tools.json"));
  const CodePointTokenizer tokenizer;
  for (const json& row : read_rows(c.path("samples.jsonl"))) {
    const std::string what = cat("sample ", row.at("template"), " ", row.at("conv"), " max_length ", row.at("max_length"));
    refuse_unknown(
        row,
        {"template", "conv", "bos", "train_on_inputs", "max_length", "system_prompt", "tool_format", "tools", "n", "pieces", "dropped"},
        what, check);
    Conversation conversation = conversation_of(conversations.at(row.at("conv").get<size_t>()));
    conversation.system = text_or_nothing(row.at("system_prompt"));
    if (row.at("tools").get<bool>()) conversation.tools = tools;
    const Template form = find_template(row.at("template"));
    LabelRules rules{.tokenizer = tokenizer, .max_tokens = row.at("max_length"), .count_all = row.at("train_on_inputs")};
    if (row.at("bos") != 0) rules.begin_token = tokenizer.begin_token;
    const Dialog dialog = dialog_of(conversation, tool_format_named(text_or_nothing(row.at("tool_format"))), false);
    EncodedSample sample;
    const bool kept = encode_dialog(form, dialog_texts(form, dialog), rules, sample);
    check.exact(what + " is kept or dropped", kept != row.contains("dropped"));
    if (!kept || !row.contains("pieces")) continue;
    check.exact(what + " n", row.at("n") == sample.tokens.size());
    check.exact(what + " pieces", row.at("pieces") == pieces_of(sample, tokenizer));
  }
}

void run_preference(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  const json conversations = json::parse(read_whole(c.path("conversations.json")));
  for (const json& row : read_rows(c.path("prompts.jsonl"))) {
    const std::string what = cat("preference ", row.at("template"), " ", row.at("conv"));
    const Conversation conversation = conversation_of(conversations.at(row.at("conv").get<size_t>()));
    const Template form = find_template(row.at("template"));
    if (row.contains("ppo_prompts")) {
      refuse_unknown(row, {"template", "conv", "ppo_prompts"}, what, check);
      check.exact(what + " ppo_prompts", row.at("ppo_prompts") == ppo_prompts(form, conversation));
      continue;
    }
    refuse_unknown(row, {"template", "tool_format", "conv", "chosen", "rejected", "dpo_prompt", "rm_chosen", "rm_rejected"}, what, check);
    const Dialog dialog = dialog_of(conversation, tool_format_named(text_or_nothing(row.at("tool_format"))), true);
    const AnswerPair answers{row.at("chosen"), row.at("rejected")};
    const auto dpo = preference_texts(form, dialog, answers);
    const auto reward = reward_texts(form, dialog, answers);
    check.exact(what + " has questions", dpo && reward);
    if (!dpo || !reward) continue;
    check.exact(what + " dpo_prompt", row.at("dpo_prompt") == dpo->prompt);
    check.exact(what + " rm_chosen", row.at("rm_chosen") == reward->chosen);
    check.exact(what + " rm_rejected", row.at("rm_rejected") == reward->rejected);
  }
}

void run_tools(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  std::istringstream lines(read_whole(c.path("tools.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    const OrderedJson row = OrderedJson::parse(line);  // descriptions of tools are written in the order of their keys
    const ToolFormat format = tool_format_named(row.at("format").get<std::string>());
    const std::string op = row.at("op"), what = cat("tools ", row.at("format"), " ", op);
    refuse_unknown(json::parse(line), {"format", "op", "tools", "calls", "content", "out", "error"}, what, check);
    try {
      if (op == "tool_formatter") {
        check.exact(what, row.at("out") == tools_text(format, row.at("tools").dump()));
      } else if (op == "function_formatter") {
        std::vector<ToolCall> calls;
        for (const OrderedJson& call : row.at("calls")) calls.push_back({call.at(0), call.at(1)});
        const std::string text = calls_text(format, calls);
        check.exact(what, row.contains("out") && row.at("out") == text);
      } else if (op == "tool_extractor") {
        const std::string content = row.at("content");
        OrderedJson found = content;
        if (const auto calls = calls_in(format, content)) {
          found = OrderedJson::array();
          for (const ToolCall& call : *calls) found.push_back({call.name, call.arguments});
        }
        check.exact(cat(what, " ", content), row.at("out") == found);
      } else {
        check.fail(cat("unknown op ", op));
      }
    } catch (const TextError& e) {
      check.exact(cat(what, " is refused: ", e.what()), row.contains("error"));
    }
  }
}

void run_pretrain_packing(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  const std::vector<json> rows = read_rows(c.path("packing.jsonl"));
  for (size_t r = 0; r < rows.size(); ++r) {
    const json& row = rows[r];
    refuse_unknown(row, {"block_size", "eos", "docs", "input_ids", "attention_mask"}, cat("packing row ", r), check);
    const std::vector<std::vector<int32_t>> documents = row.at("docs");
    const auto blocks = pack_blocks(documents, row.at("block_size"), row.at("eos"));
    check.exact(cat("packing row ", r), row.at("input_ids") == blocks);
    for (size_t b = 0; b < blocks.size(); ++b)
      check.exact(cat("packing row ", r, " mask"), row.at("attention_mask").at(b) == std::vector<int>(blocks[b].size(), 1));
  }
}

void run_convert_dataset(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"runs"}, c.label, check);
  for (const json& run : c.json.at("runs")) {
    refuse_unknown(run, {"input", "output", "data_type", "file_type"}, c.label, check);
    const ScratchFolder scratch;
    ConvertArgs args;
    args.input = c.path(run.at("input"));
    args.output = scratch.path("out.jsonl");
    const std::string type = run.at("data_type");
    if (run.at("file_type") == "csv") {
      args.from = ItemForm::csv;
    } else if (type == "json2jsonl") {
      args.to = ItemForm::items;
    } else {
      args.from = item_form_named(type, "data_type");
    }
    convert_conversations(args);
    check.exact(cat(run.at("input"), " to ", run.at("output")), read_rows(c.path(run.at("output"))) == read_rows(args.output));
  }
}

namespace {

json spans_of(std::string_view text, const std::vector<ByteSpan>& spans) {
  const auto character = [&](size_t byte) {
    return std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte),
                         [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
  };
  json list = json::array();
  for (const ByteSpan& span : spans) list.push_back({character(span.begin), character(span.end)});
  return list;
}

}  // namespace

// The samples of a script. Its order over ranks (sample = idx * world + rank) is that of all sequential data; lengths that warm up are no
// part of the data.
void run_chatgal_jsonl(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"over_all_rule", "ctx_warmup"}, c.label, check);
  compare_dealing(c.json.at("over_all_rule"), c.json.at("ctx_warmup"), check);
  std::shared_ptr<const Tokenizer> tokenizer = make_world_tokenizer();
  for (const json& row : read_rows(c.path("samples.jsonl"))) {
    const std::string text = row.at("text"), what = cat("script ", row.at("text"));
    refuse_unknown(row, {"text", "select_name", "spans", "ids", "offsets", "x", "y"}, what, check);
    DataOptions options;
    options.data_type = "jsonl";
    options.append_eod = false;
    options.select_name = text_or_nothing(row.at("select_name"));
    EncodedSample sample;
    const bool counts = make_sample_encoder(options, tokenizer)->encode(json{{"text", text}}.dump(), sample);
    check.exact(what + " ids", row.at("ids") == sample.tokens);
    json offsets = json::array(), targets = json::array();
    for (const CharacterRange& range : character_ranges(text, sample.tokens, *tokenizer)) offsets.push_back({range.begin, range.end});
    check.exact(what + " offsets", row.at("offsets") == offsets);
    if (!row.at("spans").is_null())
      check.exact(what + " spans", row.at("spans") == spans_of(text, script_spans(text, options.select_name)));
    for (size_t i = 1; i < sample.tokens.size(); ++i) targets.push_back(sample.counted[i] ? sample.tokens[i] : -100);
    check.exact(what + " y", row.at("y") == targets);
    check.exact(what + " x", row.at("x") == std::vector<int32_t>(sample.tokens.begin(), sample.tokens.end() - 1));
    check.exact(what + " counts", counts == std::ranges::any_of(sample.counted, [](uint8_t k) { return k != 0; }));
  }
}

}  // namespace rk::golden
