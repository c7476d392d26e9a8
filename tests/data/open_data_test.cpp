#include "data/open_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "data/open_data_fixture.h"
#include "data/samples/audit.h"
#include "data/samples/content_hash.h"
#include "data/tokenizer.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::counting;
using testing_support::Documents;
using testing_support::OpenDataTest;
using testing_support::refusal_of;
using testing_support::Row;
using testing_support::write_text;

TEST_F(OpenDataTest, EveryOrderIsAPureFunctionOfTheNumber) {
  const std::string prefix = tokens("data", counting({30, 1, 5, 80, 0, 12, 44}));
  for (const char* dataload : {"get", "pad", "only", "pack"}) {
    for (const char* order : {"auto", "shuffle", "random", "sequential"}) {
      const DataOptions options{.data_file = prefix, .ctx_len = 8, .dataload = dataload, .order = order};
      const auto source = open(options)->train_source(1000);
      const std::vector<Row> rows = draw(*source, 1, 60, 8);
      // resumed at any number, by any number of ranks
      for (int64_t ranks : {1, 2, 3}) {
        const auto again = open(options)->train_source(1000);
        for (int64_t rank = 0; rank < ranks; ++rank)
          for (int64_t number = 60 - rank; number >= 1; number -= ranks)
            ASSERT_EQ(Row(8).draw(*again, number), rows[static_cast<size_t>(number - 1)]) << dataload << " " << order;
      }
    }
  }
}

TEST_F(OpenDataTest, APassUsesEverySampleOnceAndTheNextToo) {
  const std::string prefix = tokens("data", counting({30, 1, 5, 80, 0, 12, 44, 300}));
  for (const char* dataload : {"get", "pad", "only", "pack"}) {
    for (const char* order : {"auto", "shuffle", "sequential"}) {
      const auto source = open({.data_file = prefix, .ctx_len = 8, .dataload = dataload, .order = order})->train_source(0);
      const int64_t n = source->n_samples_per_pass();
      for (int64_t pass = 0; pass < 3; ++pass) {
        std::multiset<int64_t> offsets;
        for (const Row& row : draw(*source, 1 + pass * n, n, 8)) offsets.insert(row.offset);
        // an empty document begins where the next one does
        EXPECT_EQ(std::set<int64_t>(offsets.begin(), offsets.end()).size() + (dataload[0] == 'p' && dataload[2] == 'd' ? 1
                                                                              : dataload[0] == 'o'                     ? 1
                                                                                                                       : 0),
                  offsets.size())
            << dataload << " " << order;
      }
    }
  }
}

TEST_F(OpenDataTest, MixedFilesKeepTheirShares) {
  const std::string a = tokens("a", counting({400})), b = tokens("b", counting({90, 80}));
  const DataOptions options{.data_file = a + "," + b, .data_weights = "3,1", .ctx_len = 4};
  const auto data = open(options);
  const auto source = data->train_source(0);
  int64_t from_b = 0;
  std::vector<int64_t> places;
  for (int64_t number = 1; number <= 4000; ++number) {
    const int64_t offset = Row(4).draw(*source, number).offset;
    if (offset >= 400) ++from_b, places.push_back(offset - 400);
  }
  EXPECT_NEAR(static_cast<double>(from_b), 1000, 1);
  const auto alone = open({.data_file = b, .ctx_len = 4})->train_source(0);
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(places[i], Row(4).draw(*alone, static_cast<int64_t>(i) + 1).offset) << "passes of their own";
  EXPECT_EQ(data->n_tokens(), 570);
  EXPECT_NE(refusal_of([&] { open({.data_file = a + "," + b, .data_weights = "3", .ctx_len = 4}); }).find("1 numbers for 2 files"),
            std::string::npos);
  EXPECT_NE(refusal_of([&] { open({.data_file = a + "," + b, .data_weights = "3,-1", .ctx_len = 4}); }).find("'-1'"), std::string::npos);
}

TEST_F(OpenDataTest, InstructionsAreMixedIn) {
  const DataOptions options{.data_file = tokens("a", counting({400})),
                            .instruct_data_file = tokens("b", counting({100})),
                            .instruct_data_ratio = 0.2,
                            .ctx_len = 4};
  const auto source = open(options)->train_source(0);
  int64_t n = 0;
  for (int64_t number = 1; number <= 1000; ++number) n += Row(4).draw(*source, number).offset >= 400;
  EXPECT_NEAR(static_cast<double>(n), 200, 1);
}

TEST_F(OpenDataTest, TextBecomesTokensOnceWhateverTheThreads) {
  const std::string text = jsonl(20000);
  DataOptions options{.data_file = text, .data_type = "jsonl", .ctx_len = 16};
  int n_said = 0;
  const PrepareSite site{.folder = proj(), .threads = 3, .say = [&](const std::string&) { ++n_said; }};
  prepare_data(options, site);
  EXPECT_EQ(n_said, 1);
  prepare_data(options, site);
  EXPECT_EQ(n_said, 1) << "nothing is left to do";
  const auto data = open_data(options, proj());
  EXPECT_EQ(data->n_documents(), 20000);
  EXPECT_EQ(data->vocabulary(), 65536);
  std::vector<std::vector<Row>> all;
  all.push_back(draw(*data->train_source(0), 1, 50, 16));
  fs::remove_all(proj());
  all.push_back(draw(*open(options, 1)->train_source(0), 1, 50, 16));
  EXPECT_EQ(all[0], all[1]);
  for (const auto& entry : fs::directory_iterator(proj())) EXPECT_FALSE(entry.path().string().ends_with(".tmp")) << entry.path();

  for (const char* record : {"", "[]", "{\"identity\": 5}", "{\"identity\": \"x\", \"marks\": []}"}) {  // damaged ones are made anew
    for (const auto& entry : fs::directory_iterator(proj()))
      if (entry.path().extension() == ".json") write_text(entry.path().string(), record);
    EXPECT_NE(refusal_of([&] { open_data(options, proj()); }), "");
    EXPECT_EQ(open(options)->n_documents(), 20000);
  }
  write_text(text, "{\"text\": \"another\"}\n");
  EXPECT_NE(refusal_of([&] { open_data(options, proj()); }).find("are not there"), std::string::npos) << "stale files are not used";
  EXPECT_EQ(open(options)->n_documents(), 1);
}

TEST_F(OpenDataTest, LinesThatCannotBeUsed) {
  write_text(path("bad.jsonl"), "{\"text\": \"good\"}\n\n  {\"text\": 5}\n{\"text\": \"\"}\r\n{\"nothing\": 1}\n{\"text\": \"good, too\"}");
  DataOptions options{.data_file = path("bad.jsonl"), .data_type = "jsonl", .ctx_len = 4, .dataload = "pad"};
  const std::string message = refusal_of([&] { open(options); });
  EXPECT_NE(message.find("bad.jsonl:3:"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(proj())) << "nothing half written";
  options.on_error = "skip";
  const auto data = open(options);
  EXPECT_GE(data->n_documents(), 2);
  std::string remarks;
  for (const std::string& remark : data->remarks()) remarks += remark + "\n";
  EXPECT_NE(remarks.find("warning: "), std::string::npos) << remarks;
  EXPECT_NE(remarks.find("2 of 6 lines cannot be used"), std::string::npos) << remarks;
  EXPECT_NE(remarks.find("bad.jsonl:3:"), std::string::npos) << remarks;
  EXPECT_NE(remarks.find("bad.jsonl:5:"), std::string::npos) << remarks;
  write_text(path("empty.jsonl"), "");
  EXPECT_NE(refusal_of([&] { open({.data_file = path("empty.jsonl"), .data_type = "jsonl"}); }).find("no documents"), std::string::npos);
  EXPECT_NE(refusal_of([&] { open({.data_file = path("missing.jsonl"), .data_type = "jsonl"}); }).find("missing.jsonl"), std::string::npos);
}

TEST_F(OpenDataTest, SplitsHaveNoDocumentInCommon) {
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += cat("{\"text\": \"document ", i % 700, "\"}\n");  // most come several times
  write_text(path("text.jsonl"), lines);
  Documents documents;
  for (int i = 0; i < 3000; ++i) documents.push_back({i % 500 + 1, 5, 6});
  for (DataOptions options :
       {DataOptions{.data_file = path("text.jsonl"), .data_type = "jsonl"}, DataOptions{.data_file = tokens("data", documents)}}) {
    options.ctx_len = 8;
    options.dataload = "pad";
    options.val_split = 0.1;
    const auto data = open(options);
    ASSERT_TRUE(data->has_validation());
    const auto rows_of = [&](const BatchSource& source, int64_t first) {
      std::set<std::vector<int32_t>> rows;
      for (const Row& row : draw(source, first, source.n_samples_per_pass(), 8)) {
        std::vector<int32_t> document{row.tokens[0]};
        for (int32_t target : row.targets)
          if (target != -100) document.push_back(target);
        rows.insert(document);
      }
      return rows;
    };
    const auto training = rows_of(*data->train_source(0), 1), validation = rows_of(*data->validation_source(0), 0);
    for (const auto& row : validation) EXPECT_FALSE(training.contains(row));
    EXPECT_EQ(training.size() + validation.size(), options.data_type == "jsonl" ? 700u : 500u);
    EXPECT_NEAR(static_cast<double>(validation.size()) / static_cast<double>(training.size() + validation.size()), 0.1, 0.04);
    const DataAudit audit = audit_data(options, proj());
    EXPECT_TRUE(audit.breaches.empty()) << audit.breaches.front();
  }
}

TEST_F(OpenDataTest, ValidationCountsEachTokenOnce) {
  const Documents documents = counting({30, 1, 5, 80, 0, 12, 44});
  const std::string prefix = tokens("data", documents);
  for (const char* dataload : {"get", "pad", "only", "pack"}) {
    const auto data = open({.data_file = prefix, .ctx_len = 8, .dataload = dataload, .val_file = prefix});
    const auto source = data->validation_source(0);
    std::multiset<int32_t> targets;
    for (const Row& row : draw(*source, 0, source->n_samples_per_pass(), 8))
      for (int32_t target : row.targets)
        if (target != -100) targets.insert(target);
    EXPECT_EQ(std::set<int32_t>(targets.begin(), targets.end()).size(), targets.size());
    EXPECT_EQ(targets.size(), dataload[0] == 'g' ? 171u : 166u) << dataload;  // all but the first of the text, or of each document
  }
  EXPECT_EQ(open({.data_file = prefix, .ctx_len = 8, .dataload = "only", .max_eval_samples = 1, .val_file = prefix})
                ->validation_source(0)
                ->n_samples_per_pass(),
            4);
}

TEST_F(OpenDataTest, AuditsFindWhatIsWrong) {
  const std::string prefix = tokens("data", {{1, 2, 3}, {}, {4}, {1, 2, 3}, {5, 6, 7, 8, 9, 10, 11, 12}, {1, 2, 3}});
  const std::string other = tokens("other", {{70, 71}, {1, 2, 3}});
  const DataAudit audit = audit_data({.data_file = prefix, .ctx_len = 4, .dataload = "pack", .val_file = other}, proj());
  std::string text;
  for (const std::string& line : audit.lines) text += line + "\n";
  EXPECT_NE(text.find("without a token: 1 (1); of one token: 1 (2)"), std::string::npos) << text;
  EXPECT_NE(text.find("more than 5 tokens: 1 (4: 8 tokens)"), std::string::npos) << text;
  EXPECT_NE(text.find("equal an earlier one: 2 (3 is 0, 5 is 0)"), std::string::npos) << text;
  ASSERT_EQ(audit.breaches.size(), 1u) << text;
  EXPECT_NE(audit.breaches[0].find("validation 1 is training 0"), std::string::npos) << audit.breaches[0];
  for (const char* dataload : {"get", "pad", "only", "pack"}) {
    const DataAudit sound =
        audit_data({.data_file = tokens("long", counting({30, 1, 5, 80, 0, 12, 44})), .ctx_len = 8, .dataload = dataload}, proj());
    EXPECT_TRUE(sound.breaches.empty()) << dataload << ": " << sound.breaches.front();
  }
}

TEST_F(OpenDataTest, OptionsThatDoNotGoTogetherAreRefused) {
  const std::string prefix = tokens("data", counting({100}));
  const auto refused = [&](DataOptions options, const char* words) {
    if (options.data_file.empty()) options.data_file = prefix;
    const std::string message = refusal_of([&] { open_data(options, proj())->train_source(0); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  refused({.data_type = "wds_img"}, "wds_img");
  refused({.data_type = "uint16"}, "--my_sample_len");
  refused({.data_weights = "1,2"}, "several files");
  refused({.instruct_data_ratio = 0.5}, "--instruct_data_file");
  refused({.dataload = "pack", .magic_prime = 5}, "--magic_prime");
  refused({.dataload = "pack", .order = "prime"}, "--order prime");
  refused({.order = "shuffle", .magic_prime = 5}, "--magic_prime");
  refused({.order = "shuffle", .data_shuffle = false}, "--data_shuffle 0");
  refused({.my_qa_mask = 1}, "--my_qa_pile");
  refused({.train_data_sort = "short_first"}, "--dataload pad or only");
  refused({.mask_user = "Q:"}, "--mask_id");
  refused({.my_script_mask = "2_1"}, "CUT_PREFIX");
  refused({.val_file = prefix, .val_split = 0.5}, "--val_file");
  refused({.max_eval_samples = 5}, "--val_file");
  refused({.data_type = "numpy", .loss_mask = "qa"}, "--loss_mask qa");
  refused({.data_type = "utf-8", .doc_reset = 1}, "--doc_reset 1");
  refused({.ctx_len = 200}, "too few");
}

TEST_F(OpenDataTest, TinyData) {
  EXPECT_EQ(Row(1).draw(*open({.data_file = tokens("two", {{7, 8}}), .ctx_len = 1})->train_source(0), 12345).targets[0], 8);
  for (const char* dataload : {"pad", "only", "pack"}) {
    const auto source = open({.data_file = path("two"), .ctx_len = 3, .dataload = dataload})->train_source(0);
    EXPECT_EQ(source->n_samples_per_pass(), 1);
    EXPECT_EQ(Row(3).draw(*source, 99).targets, (std::vector<int32_t>{8, -100, -100}));
  }
  EXPECT_NE(
      refusal_of([&] { open({.data_file = tokens("none", {}), .ctx_len = 3, .dataload = "pack"})->train_source(0); }).find("no documents"),
      std::string::npos);
  const std::string message = refusal_of([&] { Row(1).draw(*open({.data_file = path("two"), .ctx_len = 1})->train_source(8), 1); });
  EXPECT_NE(message.find("two.bin: byte 4: token 8"), std::string::npos) << message;
}

TEST_F(OpenDataTest, WhatIsCutIsSaid) {
  const std::string prefix = tokens("data", counting({3, 9, 12}));
  const auto remarks = [&](const char* dataload) {
    std::string all;
    for (const std::string& remark : open({.data_file = prefix, .ctx_len = 8, .dataload = dataload})->remarks()) all += remark + "\n";
    return all;
  };
  EXPECT_NE(remarks("pad").find("1 of 3 documents are longer than a sample, and their last 3 of 24 tokens are not used"), std::string::npos)
      << remarks("pad");
  EXPECT_EQ(remarks("pack").find("longer"), std::string::npos);
  EXPECT_NE(remarks("pack").find("samples: documents, as many as fit into 8 tokens, in shuffled order; states start anew"),
            std::string::npos)
      << remarks("pack");
  for (const char* dataload : {"pad", "only", "pack"}) {
    const DataOptions options{.data_file = tokens("ones", {{1}, {2}, {}}), .ctx_len = 8, .dataload = dataload};
    EXPECT_NE(refusal_of([&] { open(options)->train_source(0); }).find("no documents of two tokens"), std::string::npos);
  }
}

TEST_F(OpenDataTest, DocumentsByLength) {
  const std::string prefix = tokens("data", counting({3, 7, 2, 7, 5}));
  const auto sizes = [&](const char* sort) {
    std::vector<int64_t> all;
    const auto source = open({.data_file = prefix, .ctx_len = 8, .dataload = "only", .train_data_sort = sort})->train_source(0);
    for (const Row& row : draw(*source, 1, 5, 8))
      all.push_back(1 + std::count_if(row.targets.begin(), row.targets.end(), [](int32_t t) { return t >= 0; }));
    return all;
  };
  EXPECT_EQ(sizes("short_first"), (std::vector<int64_t>{2, 3, 5, 7, 7}));
  EXPECT_EQ(sizes("long_first"), (std::vector<int64_t>{7, 7, 5, 3, 2}));
}

TEST_F(OpenDataTest, HostileMarksAreRefused) {
  const std::string prefix = tokens("data", counting({20}));
  const DataOptions options{.data_file = prefix, .ctx_len = 4, .loss_mask = "roles"};
  EXPECT_NE(refusal_of([&] { open(options); }).find("data.mask: cannot open"), std::string::npos);
  write_text(prefix + ".mask", "RKMASK");
  EXPECT_NE(refusal_of([&] { open(options); }).find("byte 0: not a file of counted tokens"), std::string::npos);
  TokenMarksWriter marks(prefix + ".mask");
  marks.append(std::vector<uint8_t>(19, 1));
  marks.finish();
  marks.commit();
  EXPECT_NE(refusal_of([&] { open(options); }).find("byte 8: made for 19 tokens"), std::string::npos);
  TokenMarksWriter right(prefix + ".mask");
  std::vector<uint8_t> bits(20, 0);
  for (size_t i = 0; i < 20; i += 3) bits[i] = 1;
  right.append(bits);
  right.finish();
  right.commit();
  const Row row = Row(4).draw(*open(options)->train_source(0), 1);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(row.targets[i] != -100, (row.offset + static_cast<int64_t>(i) + 1) % 3 == 0);
  fs::resize_file(prefix + ".mask", 18);
  EXPECT_NE(refusal_of([&] { open(options); }).find("byte 16"), std::string::npos);
}

TEST_F(OpenDataTest, WhatDoesNotCountInTheTextDoesNotInAnyRow) {
  write_text(path("script.jsonl"),
             "{\"text\": \"Bob: hi\\n\\nAlice: hello Bob\\n\\n\"}\n{\"text\": \"Bob: nobody answers\"}\n"
             "{\"text\": \"Alice: once more\\n\\nBob: fine\\n\\nAlice: good\"}\n");
  const auto tokenizer = make_world_tokenizer();
  for (const char* dataload : {"pad", "only", "pack", "get"}) {
    DataOptions options{
        .data_file = path("script.jsonl"), .data_type = "jsonl", .ctx_len = 12, .dataload = dataload, .order = "sequential"};
    options.select_name = "Alice";
    options.append_eod = false;
    const auto data = open(options);
    EXPECT_EQ(data->n_documents(), 2) << "a script without Alice is left out";
    EXPECT_EQ(data->token_files().size(), 3u) << ".bin, .idx, .mask";
    const auto source = data->train_source(0);
    std::string said;
    for (const Row& row : draw(*source, 1, source->n_samples_per_pass(), 12))
      for (int32_t target : row.targets)
        if (target >= 0) said += tokenizer->decode({&target, 1});
    // windows leave out the end of the text
    EXPECT_EQ(said, std::string(" hello Bob\n\n once more") + (dataload[0] == 'g' ? "" : "\n\n good")) << dataload;
    std::string remarks;
    for (const std::string& remark : data->remarks()) remarks += remark + "\n";
    EXPECT_NE(remarks.find("1 lines have nothing to learn from"), std::string::npos) << remarks;
  }
}

TEST_F(OpenDataTest, AnswersAlone) {
  for (const char* mask : {"qa", "se"}) {
    DataOptions options{.data_file = jsonl(3), .data_type = "jsonl", .ctx_len = 32, .data_shuffle = false, .loss_mask = mask};
    const auto source = open(options)->train_source(0);
    const Row row = Row(32).draw(*source, 1);
    const auto tokenizer = make_world_tokenizer();
    std::string answer;
    for (int32_t target : row.targets)
      if (target > 0) answer += tokenizer->decode({&target, 1});
    EXPECT_EQ(answer, "Assistant: answer 0");
    options.mask_user = "[24281, 59]";  // User:
    options.mask_assistant = " answer";
    std::string shorter;
    const Row other = Row(32).draw(*open(options)->train_source(0), 1);
    for (int32_t target : other.targets)
      if (target > 0) shorter += tokenizer->decode({&target, 1});
    EXPECT_EQ(shorter, " answer 0");
  }
}

TEST(ContentHash, TellsDocumentsApart) {
  std::set<uint64_t> seen;
  for (int32_t n = 0; n < 50; ++n) {
    for (int32_t token = 0; token < 40; ++token) {
      ContentHash hash;
      hash.add(std::vector<int32_t>(static_cast<size_t>(n), token));
      seen.insert(hash.value());
    }
  }
  EXPECT_EQ(seen.size(), 49u * 40 + 1);
}

}  // namespace
}  // namespace rk
