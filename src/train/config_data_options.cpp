#include "train/config_data_options.h"

#include "train/mask_id.h"
#include "train/option_makers.h"

namespace rk {
namespace {

using C = DataOptions;

Options files() {
  return {
      common(text("data_file", &C::data_file, "a path; of binidx without .bin and .idx; several with commas between, or a folder",
                  "training data")),
      common(choice("data_type", &C::data_type,
                    {{"binidx", "binidx"},
                     {"jsonl", "jsonl"},
                     {"sft", "sft"},
                     {"sharegpt", "sharegpt"},
                     {"alpaca", "alpaca"},
                     {"utf-8", "utf-8"},
                     {"utf-16le", "utf-16le"},
                     {"numpy", "numpy"},
                     {"uint16", "uint16"},
                     {"dummy", "dummy"},
                     {"wds_img", "wds_img"}},
                    "format of data_file")),
      text("data_weights", &C::data_weights, "numbers with commas between, one a file", "shares of several files; empty = by their tokens"),
      common(text("tokenizer", &C::tokenizer, "world, neox, bytes, char:FILE or a file", "of text; empty = world")),
      choice("on_error", &C::on_error, {{"stop", "stop"}, {"skip", "skip"}},
             "a line of text that cannot be used ends the run, or is left out and counted"),
      text("instruct_data_file", &C::instruct_data_file, "a path of data_type", "data that is mixed into data_file's"),
      real("instruct_data_ratio", &C::instruct_data_ratio, {0, 1}, "share of samples from instruct_data_file"),
      common(
          old({"val_data_file", "validation_file_dir"}, text("val_file", &C::val_file, "a path as of data_file", "data for validation"))),
      common(real("val_split", &C::val_split, {0, 1, false, true}, "share of the documents that is kept for validation")),
  };
}

Options samples() {
  return {
      common(whole("ctx_len", &C::ctx_len, {1}, "tokens of a sample")),
      common(choice("dataload", &C::dataload, {{"", ""}, {"get", "get"}, {"pad", "pad"}, {"only", "only"}, {"pack", "pack"}},
                    "a sample is a window of the whole text (get), a document filled up (pad) or alone (only), or as many documents as "
                    "fit (pack)")),
      common(whole("doc_reset", &C::doc_reset, {-1, 1}, "1 = states start anew at each document of a sample; -1 = with dataload pack")),
      choice("order", &C::order,
             {{"auto", "auto"}, {"prime", "prime"}, {"shuffle", "shuffle"}, {"random", "random"}, {"sequential", "sequential"}},
             "of samples: the magic prime's, shuffled in each pass, drawn at random, as in the file"),
      yes_no("data_shuffle", &C::data_shuffle, "0 = documents in the order of the file"),
      old({"seed_everything"}, whole("random_seed", &C::random_seed, {-1}, "seed of fresh weights and of shuffled orders; -1 = 42")),
      whole("magic_prime", &C::magic_prime, {0}, "length of the sampling order, a prime; 0 = computed from the data"),
      whole("my_pile_version", &C::my_pile_version, {1, 2}, "2 = data_file is a list of token files"),
      whole("my_pile_shift", &C::my_pile_shift, {-1}, "tokens added to the start of each window; -1 = none"),
      whole("my_random_steps", &C::my_random_steps, {0}, "first samples at random places"),
      whole("my_sample_len", &C::my_sample_len, {0}, "tokens of a row of data_type uint16"),
      whole("my_qa_mask", &C::my_qa_mask, {0, 2}, "1, 2 = every other sample comes from my_qa_pile; 1 = answers alone count in the others"),
      text("my_qa_pile", &C::my_qa_pile, "a path without .bin and .idx", "token file of my_qa_mask"),
      whole("max_train_samples", &C::max_train_samples, {0}, "documents of the training data that are used; 0 = all"),
      whole("max_eval_samples", &C::max_eval_samples, {0}, "documents of the validation data that are used; 0 = all"),
      choice("train_data_sort", &C::train_data_sort, {{"shuffle", "shuffle"}, {"short_first", "short_first"}, {"long_first", "long_first"}},
             "order of documents by length"),
  };
}

Options masks() {
  ConfigOption markers;
  markers.name = "mask_id";
  markers.meaning =
      "texts, or lists of token ids, that open a user's and an assistant's turn, of loss_mask qa and se; empty = User: and Assistant:";
  markers.accepts = "two texts, or {\"mask0\": TEXT, \"mask1\": TEXT}";
  markers.list = true;
  markers.quoted = true;
  markers.set = [](RunConfig& c, const std::string& text) { return read_mask_id(text, c.mask_user, c.mask_assistant); };
  markers.show = [](const RunConfig& c) { return show_mask_id(c.mask_user, c.mask_assistant); };
  return {
      markers,
      common(choice("loss_mask", &C::loss_mask,
                    {{"none", "none"}, {"", "none"}, {"pad", "pad"}, {"qa", "qa"}, {"se", "se"}, {"roles", "roles"}},
                    "what counts: everything but padding, or answers, found by texts (qa, se) or by who speaks (roles)")),
      text("select_name", &C::select_name, "a name", "only what this speaker of a script says counts; empty = everything"),
      text("my_script_mask", &C::my_script_mask, "CUT_PREFIX, two numbers",
           "CUT 1: targets behind the document of their first token do not count; nor do the first PREFIX of a sample"),
  };
}

Options conversations() {
  ConfigOption fields = text("sft_field", &C::sft_field, "two names", "fields of question and answer in lines of data_type sft");
  fields.list = true;
  return {
      yes_no("append_eod", &C::append_eod, "1 = the end-of-document id follows each text of data_type jsonl"),
      fields,
      text("sft_split", &C::sft_split, "train", "part of a data set"),
      common(old({"template_name"}, text("template", &C::template_name, "a name such as rwkv, chatml or vicuna",
                                         "how a conversation becomes text; empty = rwkv"))),
      choice("tool_format", &C::tool_format,
             {{"", ""}, {"none", ""}, {"default", "default"}, {"glm4", "glm4"}, {"mistral", "mistral"}, {"qwen", "qwen"}},
             "how tools and calls of them are written in conversations"),
      text("system_prompt", &C::system_prompt, "a text", "first words of a conversation that has none of its own"),
  };
}

}  // namespace

std::vector<ConfigOption> data_options() {
  Options all;
  for (const Options& part : {files(), samples(), masks(), conversations()}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace rk
