#include "data/sample_encoder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/chat/labels.h"
#include "data/chat/read_conversation.h"
#include "data/chat/speakers.h"
#include "data/chat/token_spans.h"
#include "data/json_text.h"
#include "data/text_error.h"

namespace rk {
namespace {

// Tokens of a sample that is one document; 0 where documents run on.
int64_t longest_sample(const DataOptions& options) {
  return options.dataload.empty() || options.dataload == "pad" || options.dataload == "only" ? options.ctx_len + 1 : 0;
}

// What fits stays whole: the reference's rule takes tokens off turns that nearly fill a sample, too.
bool encode_shortened(const Template& form, std::span<const std::string> texts, LabelRules rules, EncodedSample& out) {
  const int64_t max_tokens = std::exchange(rules.max_tokens, 0);
  const bool counts = encode_dialog(form, texts, rules, out);
  if (max_tokens == 0 || std::ssize(out.tokens) <= max_tokens) return counts;
  rules.max_tokens = max_tokens;
  return encode_dialog(form, texts, rules, out);
}

// What a tokenizer cannot encode lies in a text that was made of the line.
template <class Encode>
bool encode_text(Encode&& encode) {
  try {
    return encode();
  } catch (const TextError& e) {
    throw TextError(cat(e.what(), " (byte ", e.offset(), " of the text)"), size_t{0});
  }
}

// A text, of which everything counts, or the assistant's answers, or what one speaker of a script says.
class TextEncoder : public SampleEncoder {
 public:
  TextEncoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)),
        append_eod_(options.append_eod),
        by_roles_(options.loss_mask == "roles"),
        select_name_(options.select_name) {}

  bool encode(std::string_view line, EncodedSample& out) const override {
    std::string unescaped;
    const std::string_view text = json_text(line, "text", unescaped);
    return encode_text([&] { return encode_counted(text, out); });
  }

 private:
  bool encode_counted(std::string_view text, EncodedSample& out) const {
    if (by_roles_) {
      encode_spans(text, answer_spans(text), *tokenizer_, out);
    } else if (!select_name_.empty()) {
      encode_script(text, script_spans(text, select_name_), *tokenizer_, out);
    } else {
      out.tokens.clear();
      tokenizer_->encode(text, out.tokens);
      out.counted.assign(out.tokens.size(), 1);
    }
    if (append_eod_) {  // ends the answer that the text ends with
      out.counted.push_back(out.counted.empty() ? !by_roles_ && select_name_.empty() : out.counted.back() != 0);
      out.tokens.push_back(tokenizer_->end_of_document());
    }
    return std::ranges::find(out.counted, 1) != out.counted.end();
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  bool append_eod_, by_roles_;
  std::string select_name_;
};

class ConversationEncoder : public SampleEncoder {
 public:
  ConversationEncoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)),
        form_(options.data_type == "alpaca" ? ConversationForm::alpaca : ConversationForm::sharegpt),
        template_(find_template(options.template_name.empty() ? "rwkv" : options.template_name)),
        tools_(tool_format_named(options.tool_format)),
        system_(options.system_prompt),
        max_tokens_(longest_sample(options)),
        count_all_(options.loss_mask != "roles") {}

  bool encode(std::string_view line, EncodedSample& out) const override {
    Conversation conversation = read_conversation(form_, line);
    if (conversation.system.empty()) conversation.system = system_;
    const std::vector<std::string> texts = dialog_texts(template_, dialog_of(conversation, tools_, false));
    const LabelRules rules{.tokenizer = *tokenizer_, .max_tokens = max_tokens_, .count_all = count_all_};
    return encode_text([&] { return encode_shortened(template_, texts, rules, out); });
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  ConversationForm form_;
  Template template_;
  ToolFormat tools_;
  std::string system_;
  int64_t max_tokens_;
  bool count_all_;
};

// Two fields, a question and its answer. RWKV-PEFT's prompt stands around them if no other template is named; its rule for the border
// between them goes with it.
class QuestionEncoder : public SampleEncoder {
 public:
  QuestionEncoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)),
        template_(find_template(options.template_name.empty() ? "sft" : options.template_name)),
        system_(options.system_prompt),
        max_tokens_(longest_sample(options)),
        count_all_(options.loss_mask == "pad") {
    const std::string& names = options.sft_field;
    const size_t blank = names.find(' ');
    if (blank == names.npos || blank == 0 || blank + 1 == names.size() || names.find(' ', blank + 1) != names.npos)
      fail(cat("--sft_field \"", names,
               "\": data_type sft needs the names of two fields, of the question and of its answer, such as query response"));
    question_ = names.substr(0, blank);
    answer_ = names.substr(blank + 1);
  }

  bool encode(std::string_view line, EncodedSample& out) const override {
    const Dialog dialog{system_, {read_question(line, question_, answer_)}};
    const std::vector<std::string> texts = dialog_texts(template_, dialog);
    const LabelRules rules{.tokenizer = *tokenizer_, .max_tokens = max_tokens_, .count_all = count_all_};
    return encode_text([&] {
      return template_.name == "sft" ? encode_question(template_, texts, rules, out) : encode_shortened(template_, texts, rules, out);
    });
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  Template template_;
  std::string system_, question_, answer_;
  int64_t max_tokens_;
  bool count_all_;
};

void refuse_unless(bool goes_together, const std::string& option, const std::string& value, const DataOptions& options) {
  if (!goes_together && !value.empty()) fail(cat("--", option, " ", value, " does not go with --data_type ", options.data_type));
}

}  // namespace

std::unique_ptr<SampleEncoder> make_sample_encoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer) {
  const bool is_text = options.data_type == "jsonl", is_question = options.data_type == "sft";
  refuse_unless(is_text, "select_name", options.select_name, options);
  refuse_unless(!is_text, "template", options.template_name, options);
  refuse_unless(!is_text, "system_prompt", options.system_prompt, options);
  refuse_unless(!is_text && !is_question, "tool_format", options.tool_format, options);
  if (!options.select_name.empty() && options.loss_mask == "roles")
    fail(cat("--select_name ", options.select_name, " and --loss_mask roles each say what counts; give one of them"));
  if (is_text) return std::make_unique<TextEncoder>(options, std::move(tokenizer));
  if (is_question) return std::make_unique<QuestionEncoder>(options, std::move(tokenizer));
  if (options.data_type == "sharegpt" || options.data_type == "alpaca")
    return std::make_unique<ConversationEncoder>(options, std::move(tokenizer));
  fail(cat("--data_type ", options.data_type, " has no lines that become samples; jsonl, sft, sharegpt and alpaca have"));
}

std::string sample_identity(const DataOptions& o) {
  std::string identity = cat("append_eod ", o.append_eod, " ctx_len ", o.data_type == "jsonl" ? 0 : longest_sample(o));
  const std::string& mask = o.loss_mask;
  const Template form = find_template(o.template_name.empty() ? "rwkv" : o.template_name);
  for (const std::string& text :
       {o.data_type, mask == "roles" || (mask == "pad" && o.data_type == "sft") ? mask : std::string(), o.select_name, o.sft_field,
        o.template_name, o.system_prompt, o.tool_format, form.system, form.system_form, form.prompt, form.lead, form.sep, form.stop}) {
    identity += cat(" ", text.size(), ":", text);
  }
  return cat(identity, " ", static_cast<int>(form.end), " ", form.clean);
}

}  // namespace rk
