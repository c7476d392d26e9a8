// What the options of a run say about its data, typed. RunConfig is one; src/train/config_data_options.cpp describes each field.
#pragma once
#include <cstdint>
#include <string>

namespace rk {

struct DataOptions {
  // files
  std::string data_file;             // a path; binidx without .bin and .idx; several with commas between; a folder
  std::string data_type = "binidx";  // binidx, jsonl, sft, sharegpt, alpaca, utf-8, utf-16le, numpy, uint16, dummy
  std::string data_weights;          // of several files: numbers with commas between; "" = by their tokens
  std::string tokenizer;             // of text: world, neox, bytes, char:FILE, FILE; "" = world, or what RWKV_VOCAB says
  std::string on_error = "stop";     // or "skip": lines of text that cannot be used are left out, and counted
  std::string instruct_data_file;    // mixed into the data
  double instruct_data_ratio = 0;    // the share of samples that come from it

  // samples
  int64_t ctx_len = 1024;
  std::string dataload;                     // get, pad, only, pack; "" = get for token files without items, else pad
  int doc_reset = -1;                       // states start anew at each document: 0, 1, -1 = with pack only
  std::string order = "auto";               // prime, shuffle, random, sequential
  bool data_shuffle = true;                 // items of pad, only, pack in shuffled order
  int64_t random_seed = -1;                 // of shuffled and random orders (and of fresh weights); -1 = 42
  int64_t magic_prime = 0;                  // 0 = computed
  int64_t built_in_prime = 0;               // no option: RWKV-v4neo's for the Pile, taken where none is given and it covers the data
  int64_t my_pile_version = 1;              // 2: data_file lists several
  int64_t my_pile_shift = -1;               // tokens added to the start of each window; -1 = 0
  int64_t my_random_steps = 0;              // first samples drawn at random, before the prime's order
  int64_t my_sample_len = 0;                // of data_type uint16
  int64_t my_qa_mask = 0;                   // 1, 2: half of the samples from my_qa_pile
  std::string my_qa_pile;                   // token file of these
  int64_t max_train_samples = 0;            // 0 = all
  int64_t max_eval_samples = 0;             // 0 = all
  std::string train_data_sort = "shuffle";  // short_first, long_first

  // what counts in the loss
  std::string loss_mask = "none";         // pad, qa, se, roles
  std::string mask_user, mask_assistant;  // texts that open a turn, of qa and se; "" = "User:" and "Assistant:"
  std::string select_name;                // only this speaker's lines count
  std::string my_script_mask;             // CUT_PREFIX

  // text, conversations and questions
  bool append_eod = true;  // of jsonl: the end-of-document id follows each text
  std::string sft_field;   // two names with a blank between
  std::string sft_split = "train";
  std::string template_name;  // "" = rwkv
  std::string system_prompt;
  std::string tool_format;  // of conversations with tools: "" = none, default, glm4, mistral, qwen

  // validation
  std::string val_file;  // as data_file, or a folder
  double val_split = 0;  // share of the documents that is kept for validation instead
};

inline bool wants_validation(const DataOptions& o) { return !o.val_file.empty() || o.val_split > 0; }

}  // namespace rk
