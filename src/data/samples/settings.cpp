#include "data/samples/settings.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/tokenizer.h"

namespace rk {
namespace {

Dataload dataload_of(const DataOptions& o) {
  if (o.dataload == "get") return Dataload::get;
  if (o.dataload == "pad") return Dataload::pad;
  if (o.dataload == "only") return Dataload::only;
  if (o.dataload == "pack") return Dataload::pack;
  if (o.data_type == "uint16") return Dataload::only;
  return is_lines(o) ? Dataload::pad : Dataload::get;
}

const char* name_of(Dataload dataload) {
  static constexpr const char* names[] = {"get", "pad", "only", "pack"};
  return names[static_cast<size_t>(dataload)];
}

OrderRequest::Kind order_kind(const DataOptions& o, Dataload dataload) {
  using Kind = OrderRequest::Kind;
  if (o.order == "shuffle" && !o.data_shuffle) fail("--order shuffle does not go with --data_shuffle 0; leave one of them out");
  if (o.order == "shuffle") return Kind::shuffle;
  if (o.order == "random") return Kind::random;
  if (o.order == "sequential") return Kind::sequential;
  if (dataload == Dataload::get) return Kind::prime;
  if (o.order == "prime")
    fail(cat("--order prime is an order of windows (--dataload get); with --dataload ", name_of(dataload), " use shuffle or sequential"));
  return o.data_shuffle ? Kind::shuffle : Kind::sequential;
}

ScriptMask script_of(const DataOptions& o) {
  ScriptMask mask;
  const char* const end = o.my_script_mask.data() + o.my_script_mask.size();
  int cut = -1;
  const auto first = std::from_chars(o.my_script_mask.data(), end, cut);
  const bool divided = first.ec == std::errc() && first.ptr != end && *first.ptr == '_';
  const auto second = divided ? std::from_chars(first.ptr + 1, end, mask.prefix) : std::from_chars_result{end, std::errc::invalid_argument};
  if (cut < 0 || cut > 1 || second.ec != std::errc() || second.ptr != end || mask.prefix < 0)
    fail(cat("--my_script_mask ", o.my_script_mask,
             " is not accepted; it takes CUT_PREFIX, such as 1_4: CUT 0 or 1, PREFIX a number of targets"));
  if (mask.prefix >= o.ctx_len) fail(cat("--my_script_mask ", o.my_script_mask, " leaves nothing of --ctx_len ", o.ctx_len, " tokens"));
  mask.cut = cut == 1;
  return mask;
}

// Options of windows that other samples know nothing of.
void refuse_for_documents(const DataOptions& o, Dataload dataload) {
  const auto refuse = [&](bool given, const char* option) {
    if (given) fail(cat("--", option, " is for windows (--dataload get); it does not go with --dataload ", name_of(dataload)));
  };
  refuse(o.magic_prime > 0, "magic_prime");
  refuse(o.my_pile_shift > 0, "my_pile_shift");
  refuse(o.my_random_steps > 0, "my_random_steps");
  refuse(o.my_pile_version == 2, "my_pile_version 2");
  refuse(o.my_qa_mask > 0, "my_qa_mask");
  refuse(!o.my_script_mask.empty(), "my_script_mask");
  if (o.data_type == "utf-8" || o.data_type == "utf-16le" || o.data_type == "dummy" || o.data_type == "numpy")
    fail(cat("--data_type ", o.data_type, " is one text without documents; --dataload ", name_of(dataload), " needs some; use get"));
}

void refuse_for_reference_modes(const DataOptions& o) {
  const bool several = o.data_file.find(',') != std::string::npos;
  if (o.my_pile_version == 2) {
    if (o.data_type != "binidx") fail("--my_pile_version 2 is a list of token files; it needs --data_type binidx");
    if (several || !o.data_weights.empty())
      fail("--my_pile_version 2 has its files and their shares in the list; leave --data_weights and other paths out");
    if (o.val_split > 0) fail("--val_split does not go with --my_pile_version 2; give --val_file");
    if (o.order == "shuffle") fail("--my_pile_version 2 goes with --order prime, random or sequential");
    if (o.max_train_samples > 0) fail("--max_train_samples does not go with --my_pile_version 2, whose list says what is used");
    if (o.loss_mask == "roles") fail("--loss_mask roles does not go with --my_pile_version 2");
    if (o.my_pile_shift > 0) fail("--my_pile_shift does not go with --my_pile_version 2");
  }
  if (o.my_qa_mask == 0) {
    if (!o.my_qa_pile.empty()) fail("--my_qa_pile needs --my_qa_mask 1 or 2");
    return;
  }
  if (o.my_qa_pile.empty()) fail(cat("--my_qa_mask ", o.my_qa_mask, " takes every other sample from --my_qa_pile, which is not given"));
  if (o.data_type != "binidx" || several || o.my_pile_version == 2 || !o.instruct_data_file.empty())
    fail("--my_qa_mask needs one token file of --data_type binidx as --data_file, and no --instruct_data_file");
  if (o.loss_mask != "none" || !o.my_script_mask.empty() || o.doc_reset == 1)
    fail("--my_qa_mask has a mask of its own; it does not go with --loss_mask, --my_script_mask or --doc_reset 1");
  if (o.order != "auto" && o.order != "prime") fail(cat("--my_qa_mask has the prime's order; it does not go with --order ", o.order));
  if (o.my_random_steps > 0) fail("--my_random_steps does not go with --my_qa_mask");
}

void refuse_for_files(const DataOptions& o) {
  if (o.data_type == "wds_img") fail("--data_type wds_img (images) is not supported; rookery trains on text");
  static constexpr const char* types[] = {"binidx", "jsonl", "sft", "sharegpt", "alpaca", "utf-8", "utf-16le", "numpy", "uint16", "dummy"};
  if (std::find(std::begin(types), std::end(types), o.data_type) == std::end(types))
    fail(cat("--data_type ", o.data_type, " is not known"));
  if (o.data_type == "uint16" && o.my_sample_len < 2)
    fail(cat("--data_type uint16 needs --my_sample_len, the tokens of a row, at least 2; it is ", o.my_sample_len));
  if (o.data_type != "uint16" && o.my_sample_len > 0) fail("--my_sample_len is for --data_type uint16");
  if (!o.data_weights.empty() && o.data_file.find(',') == std::string::npos)
    fail("--data_weights are the shares of several files; give them as --data_file A,B,...");
  if (o.instruct_data_file.empty() != (o.instruct_data_ratio == 0))
    fail("--instruct_data_file and --instruct_data_ratio belong together: the data, and its share of the samples above 0");
  if (o.instruct_data_ratio < 0 || o.instruct_data_ratio >= 1)
    fail(cat("--instruct_data_ratio ", o.instruct_data_ratio, " is not a share; it lies between 0 and 1"));
  if (o.val_split < 0 || o.val_split >= 1) fail(cat("--val_split ", o.val_split, " is not a share; it lies between 0 and 1"));
  if (o.val_split > 0 && !o.val_file.empty()) fail("--val_split and --val_file are two ways to the same; give one");
  if (o.val_split > 0 && !is_lines(o) && o.data_type != "binidx")
    fail(cat("--val_split divides documents, and --data_type ", o.data_type, " has none; give --val_file"));
  if (o.max_eval_samples > 0 && o.val_split == 0 && o.val_file.empty())
    fail("--max_eval_samples needs validation data: --val_file or --val_split");
  if (o.sft_split != "train" && !o.sft_split.empty())
    fail(cat("--sft_split ", o.sft_split, ": files have no parts; use --max_train_samples N for the first N, and --val_file for others"));
}

}  // namespace

bool is_lines(const DataOptions& options) {
  const std::string& type = options.data_type;
  return type == "jsonl" || type == "sft" || type == "sharegpt" || type == "alpaca";
}

bool is_text(const DataOptions& options) {
  const std::string& type = options.data_type;
  return is_lines(options) || type == "utf-8" || type == "utf-16le" || type == "dummy";
}

SampleSettings settings_of(const DataOptions& o) {
  refuse_for_files(o);
  refuse_for_reference_modes(o);
  if (o.ctx_len < 1) fail(cat("--ctx_len ", o.ctx_len, ": a sample has at least one token"));
  SampleSettings s;
  s.dataload = dataload_of(o);
  if (s.dataload != Dataload::get) refuse_for_documents(o, s.dataload);
  s.run_on = s.dataload == Dataload::pad && o.data_type == "binidx";

  s.order.kind = order_kind(o, s.dataload);
  s.order.ctx_len = o.ctx_len;
  s.order.magic_prime = o.magic_prime;
  s.order.built_in_prime = o.built_in_prime;
  s.order.shift = std::max<int64_t>(o.my_pile_shift, 0);
  s.order.random_steps = o.my_random_steps;
  s.order.seed = static_cast<uint64_t>(o.random_seed < 0 ? 42 : o.random_seed);
  if (o.magic_prime > 0 && s.order.kind != OrderRequest::Kind::prime)
    fail(cat("--magic_prime is of --order prime; it does not go with --order ", o.order));
  s.by_length = o.train_data_sort != "shuffle";
  s.masked_qa = o.my_qa_mask == 1;
  s.long_first = o.train_data_sort == "long_first";
  if (s.by_length && s.dataload != Dataload::pad && s.dataload != Dataload::only)
    fail(cat("--train_data_sort ", o.train_data_sort, " orders documents; it goes with --dataload pad or only"));
  if (s.by_length && o.order != "auto")
    fail(cat("--train_data_sort ", o.train_data_sort, " is an order; it does not go with --order ", o.order));

  RowRules& rules = s.rules;
  rules.ctx_len = o.ctx_len;
  rules.doc_reset = o.doc_reset == 1 || (o.doc_reset == -1 && s.dataload == Dataload::pack);
  if (rules.doc_reset && is_text(o) && !is_lines(o))
    fail(cat("--doc_reset 1: --data_type ", o.data_type, " is one text without documents, at which states could start anew"));
  if (o.loss_mask == "qa") rules.turns = RowRules::Turns::qa;
  if (o.loss_mask == "se") rules.turns = RowRules::Turns::se;
  if (rules.turns != RowRules::Turns::all && !is_lines(o) && o.data_type != "binidx")
    fail(cat("--loss_mask ", o.loss_mask, " finds turns of a conversation by their tokens; --data_type ", o.data_type, " has none"));
  if (o.loss_mask == "roles" && !is_lines(o) && o.data_type != "binidx")
    fail(cat("--loss_mask roles needs to know who speaks; --data_type ", o.data_type, " does not say"));
  if (rules.turns == RowRules::Turns::all && (!o.mask_user.empty() || !o.mask_assistant.empty()))
    fail(cat("--mask_id is for --loss_mask qa and se; it does not go with ", o.loss_mask));
  rules.script_mask = !o.my_script_mask.empty();
  if (rules.script_mask) rules.script = script_of(o);
  if (o.data_type == "uint16" && s.dataload == Dataload::only && o.ctx_len < o.my_sample_len - 1)
    fail(cat("--my_sample_len ", o.my_sample_len, " does not fit into --ctx_len ", o.ctx_len, "; a row needs ", o.my_sample_len - 1));
  return s;
}

std::shared_ptr<const Tokenizer> data_tokenizer(const DataOptions& options) {
  return make_tokenizer(options.tokenizer.empty() ? default_tokenizer() : options.tokenizer);
}

std::string description(const SampleSettings& s) {
  static constexpr const char* samples[] = {"windows of ", "documents, one each, cut and padded to ",
                                            "documents, one each, cut and padded to ", "documents, as many as fit into "};
  static constexpr const char* orders[] = {"the magic prime's order", "shuffled order", "random order", "the order of the file"};
  std::string text = cat("samples: ", samples[static_cast<size_t>(s.dataload)], s.rules.ctx_len, " tokens, in ",
                         s.by_length ? s.long_first ? "order of length, the longest first" : "order of length, the shortest first"
                                     : orders[static_cast<size_t>(s.order.kind)]);
  if (s.rules.doc_reset) text += "; states start anew at each document";
  if (s.rules.turns != RowRules::Turns::all)
    text += cat("; answers alone count (", s.rules.turns == RowRules::Turns::qa ? "qa" : "se", ")");
  return text;
}

SampleSettings complete_settings(const DataOptions& options) {
  SampleSettings settings = settings_of(options);
  if (settings.rules.turns != RowRules::Turns::all) settings.rules.markers = turn_markers(options, *data_tokenizer(options));
  return settings;
}

TurnMarkers turn_markers(const DataOptions& options, const Tokenizer& tokenizer) {
  const auto tokens_of = [&](const std::string& text, const char* otherwise, const char* name) {
    std::vector<int32_t> ids;
    const nlohmann::json list = text.starts_with('[') ? nlohmann::json::parse(text, nullptr, false) : nlohmann::json();
    if (list.is_array() && std::all_of(list.begin(), list.end(), [](const auto& id) { return id.is_number_unsigned(); })) {
      ids = list.get<std::vector<int32_t>>();
    } else {
      tokenizer.encode(text.empty() ? otherwise : text, ids);
    }
    if (ids.empty() || std::ssize(ids) > longest_marker)
      fail(cat("--mask_id: ", name, " '", text, "' has ", ids.size(), " tokens; 1 to ", longest_marker, " can open a turn"));
    return ids;
  };
  TurnMarkers markers{tokens_of(options.mask_user, "User:", "mask0"), tokens_of(options.mask_assistant, "Assistant:", "mask1")};
  if (markers.user == markers.assistant) fail(cat("--mask_id: both turns are opened by '", options.mask_user, "'; they must differ"));
  return markers;
}

}  // namespace rk
