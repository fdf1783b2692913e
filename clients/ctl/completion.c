// SPDX-License-Identifier: Apache-2.0
//
// The three scripts. Each finds noun and verb among the words before the cursor and then has one case per command. Owns
// nothing. The awkward case is a comment with quotes in it: what goes into a quoted string of a shell is escaped for
// that shell, and the first sentence only is taken.
#include "clients/ctl/completion.h"

#include <stdio.h>
#include <string.h>

#include "clients/ctl/help.h"
#include "clients/ctl/report.h"
#include "clients/ctl/settings.h"
#include "clients/ctl/word.h"

typedef void each_word(ez_buf *out, const char *word, const char *doc, int doc_len);

// ---- What there is, word by word ----

static void each_command(ez_buf *out, each_word *put) {
    for (const ez_method *noun = ez_ctl_noun_next(NULL); noun; noun = ez_ctl_noun_next(noun)) {
        char word[EZ_CTL_WORD_MAX];
        ez_ctl_kebab(noun->service, word);
        put(out, word, "", 0);
    }
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++)
        put(out, ez_ctl_builtins[i].name, ez_ctl_builtins[i].doc, ez_ctl_help_sentence(ez_ctl_builtins[i].doc));
}

static void each_verb(ez_buf *out, const ez_method *noun, each_word *put) {
    for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m)) {
        char word[EZ_CTL_WORD_MAX];
        ez_ctl_kebab(m->rpc, word);
        put(out, word, m->doc, ez_ctl_help_sentence(m->doc));
    }
}

static void each_option(ez_buf *out, unsigned bits, each_word *put) {
    char flag[EZ_CTL_WORD_MAX + 2];
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (!(bits >> i & 1))
            continue;
        snprintf(flag, sizeof flag, "--%s", ez_ctl_options[i].name);
        put(out, flag, ez_ctl_options[i].doc, ez_ctl_help_sentence(ez_ctl_options[i].doc));
    }
}

static void each_flag(ez_buf *out, const ez_method *method, each_word *put) {
    ez_ctl_flags flags;
    char word[EZ_CTL_WORD_MAX], flag[EZ_CTL_WORD_MAX + 2];
    unsigned options = 0;
    ez_ctl_flags_of(method, &flags);
    for (unsigned i = 0; i < flags.count; i++) {
        const ez_field_rule *field = flags.list[i].field;
        ez_ctl_kebab(field->name, word);
        snprintf(flag, sizeof flag, "--%s", word);
        put(out, flag, field->doc, ez_ctl_help_sentence(field->doc));
    }
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++)
        options |= ez_ctl_option_fits(i, method) ? 1u << i : 0;
    each_option(out, options, put);
}

// "a b c" of the words a flag may be.
static void put_words(ez_buf *out, const ez_ctl_flag *flag) {
    char text[64];
    const char *word;
    for (unsigned i = 0; (word = ez_ctl_flag_word(flag, i, text)) != NULL; i++)
        (void)ez_buf_printf(out, "%s%s", i ? " " : "", word);
}

static bool has_words(const ez_ctl_flag *flag) {
    char text[64];
    return ez_ctl_flag_word(flag, 0, text) && !ez_ctl_flag_is_switch(flag);
}

// ---- bash ----

static void plain_word(ez_buf *out, const char *word, const char *doc, int doc_len) {
    (void)doc;
    (void)doc_len;
    (void)ez_buf_printf(out, " %s", word);
}

// Flags that take a value: the word behind one is no noun, verb or operand.
static void put_value_flags(ez_buf *out, const char *between) {
    const char *lead = "";
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (!ez_ctl_options[i].placeholder)
            continue;
        (void)ez_buf_printf(out, "%s--%s", lead, ez_ctl_options[i].name);
        lead = between;
        if (ez_ctl_options[i].letter)
            (void)ez_buf_printf(out, "%s-%c", lead, ez_ctl_options[i].letter);
    }
    for (size_t i = 0; i < ez_ctl_setting_count; i++) {
        char flag[EZ_CTL_WORD_MAX];
        ez_ctl_setting_flag(&ez_ctl_settings[i], flag);
        if (ez_ctl_settings[i].type != EZ_SETTING_SECRET)
            (void)ez_buf_printf(out, "%s--%s", lead, flag);
    }
}

static void bash_values(ez_buf *out, const ez_method *method, const char *command) {
    ez_ctl_flags flags;
    ez_ctl_flags_of(method, &flags);
    for (unsigned i = 0; i < flags.count; i++) {
        char word[EZ_CTL_WORD_MAX];
        if (!has_words(&flags.list[i]))
            continue;
        ez_ctl_kebab(flags.list[i].field->name, word);
        (void)ez_buf_printf(out, "    '%s --%s') choices='", command, word);
        put_words(out, &flags.list[i]);
        (void)ez_buf_puts(out, "' ;;\n");
    }
}

static void bash_methods(ez_buf *out) {
    for (const ez_method *noun = ez_ctl_noun_next(NULL); noun; noun = ez_ctl_noun_next(noun)) {
        for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m)) {
            char service[EZ_CTL_WORD_MAX], rpc[EZ_CTL_WORD_MAX];
            ez_ctl_kebab(m->service, service);
            ez_ctl_kebab(m->rpc, rpc);
            (void)ez_buf_printf(out, "    '%s %s') flags='", service, rpc);
            each_flag(out, m, plain_word);
            (void)ez_buf_puts(out, "' ;;\n");
        }
    }
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++) {
        (void)ez_buf_printf(out, "    '%s '*) flags='", ez_ctl_builtins[i].name);
        each_option(out, ez_ctl_builtins[i].options, plain_word);
        (void)ez_buf_puts(out, "' ;;\n");
    }
}

static void bash_verbs(ez_buf *out) {
    for (const ez_method *noun = ez_ctl_noun_next(NULL); noun; noun = ez_ctl_noun_next(noun)) {
        char word[EZ_CTL_WORD_MAX];
        ez_ctl_kebab(noun->service, word);
        (void)ez_buf_printf(out, "    %s) verbs='", word);
        each_verb(out, noun, plain_word);
        (void)ez_buf_puts(out, "' ;;\n");
    }
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++) {
        const char *const *words = ez_ctl_builtins[i].words;
        if (!words)
            continue;
        (void)ez_buf_printf(out, "    %s) verbs='", ez_ctl_builtins[i].name);
        for (; *words; words++)
            (void)ez_buf_printf(out, " %s", *words);
        (void)ez_buf_puts(out, "' ;;\n");
    }
    (void)ez_buf_puts(out, "    call) verbs='");
    for (unsigned i = 0; i < ez_method_count; i++)
        (void)ez_buf_printf(out, " %s", ez_methods[i].name);
    (void)ez_buf_puts(out, "' ;;\n    help) verbs=$commands ;;\n");
}

// Shared by bash and zsh: a function that sets "choices" from the words before the one that is being typed.
static void put_finder(ez_buf *out, const char *name) {
    (void)ez_buf_printf(out, "%s() {\n", name);
    (void)ez_buf_puts(out,
                      "  local noun='' verb='' previous='' word commands flags='' verbs='' is_value=''\n  commands='");
    each_command(out, plain_word);
    (void)ez_buf_puts(out, "'\n  choices=''\n"
                           "  for word in \"$@\"; do\n"
                           "    previous=$word\n"
                           "    if [ -n \"$is_value\" ]; then is_value=''; continue; fi\n"
                           "    case $word in\n"
                           "    ");
    put_value_flags(out, "|");
    (void)ez_buf_puts(out,
                      ") is_value=1 ;;\n"
                      "    -*) ;;\n"
                      "    *) if [ -z \"$noun\" ]; then noun=$word; elif [ -z \"$verb\" ]; then verb=$word; fi ;;\n"
                      "    esac\n"
                      "  done\n"
                      "  case \"$previous\" in\n"
                      "    -o|--output) choices='table json'; return ;;\n"
                      "  esac\n"
                      "  case \"$noun $verb $previous\" in\n");
    for (unsigned i = 0; i < ez_method_count; i++) {
        char service[EZ_CTL_WORD_MAX], rpc[EZ_CTL_WORD_MAX], command[2 * EZ_CTL_WORD_MAX + 1];
        ez_ctl_kebab(ez_methods[i].service, service);
        ez_ctl_kebab(ez_methods[i].rpc, rpc);
        snprintf(command, sizeof command, "%s %s", service, rpc);
        bash_values(out, &ez_methods[i], command);
    }
    (void)ez_buf_puts(out, "  esac\n"
                           "  if [ -n \"$choices\" ] || [ -n \"$is_value\" ]; then return; fi\n"
                           "  case $noun in\n"
                           "    '') choices=\"$commands --help --version\"; return ;;\n");
    bash_verbs(out);
    (void)ez_buf_puts(out, "  esac\n"
                           "  if [ -z \"$verb\" ] && [ -n \"$verbs\" ]; then choices=$verbs; return; fi\n"
                           "  case \"$noun $verb\" in\n");
    bash_methods(out);
    (void)ez_buf_puts(out, "  esac\n  choices=$flags\n}\n");
}

static void write_bash(ez_buf *out) {
    (void)ez_buf_puts(out, "# bash completion for ezctl: source <(ezctl completion bash)\n");
    put_finder(out, "_ezctl_words");
    (void)ez_buf_puts(out, "_ezctl() {\n"
                           "  local choices current=${COMP_WORDS[COMP_CWORD]}\n"
                           "  _ezctl_words \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"\n"
                           "  COMPREPLY=($(compgen -W \"$choices\" -- \"$current\"))\n"
                           "}\n"
                           "complete -o default -F _ezctl ezctl\n");
}

// ---- zsh ----

static void write_zsh(ez_buf *out) {
    (void)ez_buf_puts(out, "#compdef ezctl\n# zsh completion for ezctl: source <(ezctl completion zsh)\n");
    put_finder(out, "_ezctl_words");
    (void)ez_buf_puts(out, "_ezctl() {\n"
                           "  local choices before\n"
                           "  before=(\"${(@)words[2,CURRENT-1]}\")\n"
                           "  _ezctl_words \"${before[@]}\"\n"
                           "  if [ -n \"$choices\" ]; then compadd -- ${=choices}; else _files; fi\n"
                           "}\n"
                           "if [ \"${funcstack[1]-}\" = _ezctl ]; then _ezctl \"$@\"; else compdef _ezctl ezctl; fi\n");
}

// ---- fish ----

static void fish_quoted(ez_buf *out, const char *text, int len) {
    (void)ez_buf_putc(out, '\'');
    for (int i = 0; i < len; i++) {
        if (text[i] == '\'' || text[i] == '\\')
            (void)ez_buf_putc(out, '\\');
        (void)ez_buf_putc(out, text[i]);
    }
    (void)ez_buf_putc(out, '\'');
}

static void fish_doc(ez_buf *out, const char *doc) {
    if (*doc) {
        (void)ez_buf_puts(out, " -d ");
        fish_quoted(out, doc, ez_ctl_help_sentence(doc));
    }
    (void)ez_buf_putc(out, '\n');
}

static void fish_options(ez_buf *out, const char *noun, const char *verb, unsigned bits) {
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (!(bits >> i & 1))
            continue;
        (void)ez_buf_printf(out, "complete -c ezctl -n '__ezctl_is %s %s' -l %s", noun, verb, ez_ctl_options[i].name);
        if (ez_ctl_options[i].letter)
            (void)ez_buf_printf(out, " -s %c", ez_ctl_options[i].letter);
        if (i == EZ_CTL_OUTPUT)
            (void)ez_buf_puts(out, " -x -a 'table json'");
        else if (ez_ctl_options[i].placeholder)
            (void)ez_buf_puts(out, " -r");
        fish_doc(out, ez_ctl_options[i].doc);
    }
}

static void fish_method(ez_buf *out, const ez_method *method) {
    char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX], flag[EZ_CTL_WORD_MAX];
    ez_ctl_flags flags;
    unsigned options = 0;
    ez_ctl_flags_of(method, &flags);
    ez_ctl_kebab(method->service, noun);
    ez_ctl_kebab(method->rpc, verb);
    (void)ez_buf_printf(out, "complete -c ezctl -f -n '__ezctl_is %s' -a %s", noun, verb);
    fish_doc(out, method->doc);
    for (unsigned i = 0; i < flags.count; i++) {
        ez_ctl_kebab(flags.list[i].field->name, flag);
        (void)ez_buf_printf(out, "complete -c ezctl -n '__ezctl_is %s %s' -l %s", noun, verb, flag);
        if (has_words(&flags.list[i])) {
            (void)ez_buf_puts(out, " -x -a '");
            put_words(out, &flags.list[i]);
            (void)ez_buf_putc(out, '\'');
        } else if (!ez_ctl_flag_is_switch(&flags.list[i])) {
            (void)ez_buf_puts(out, ez_ctl_flag_reads_files(&flags.list[i]) ? " -r" : " -x");
        }
        fish_doc(out, flags.list[i].field->doc);
    }
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++)
        options |= ez_ctl_option_fits(i, method) ? 1u << i : 0;
    fish_options(out, noun, verb, options);
}

static void fish_builtin(ez_buf *out, const ez_ctl_builtin *builtin) {
    (void)ez_buf_printf(out, "complete -c ezctl -f -n '__ezctl_is' -a %s", builtin->name);
    fish_doc(out, builtin->doc);
    for (const char *const *word = builtin->words; word && *word; word++)
        (void)ez_buf_printf(out, "complete -c ezctl -f -n '__ezctl_is %s' -a %s\n", builtin->name, *word);
    fish_options(out, builtin->name, "_", builtin->options);
}

static void write_fish(ez_buf *out) {
    (void)ez_buf_puts(out, "# fish completion for ezctl: ezctl completion fish | source\n"
                           "# Whether noun and verb before the cursor are these, and no more; _ is any.\n"
                           "function __ezctl_is\n"
                           "  set -l found\n"
                           "  set -l is_value 0\n"
                           "  set -l line (commandline -opc)\n"
                           "  for word in $line[2..-1]\n"
                           "    if test $is_value = 1\n"
                           "      set is_value 0\n"
                           "      continue\n"
                           "    end\n"
                           "    switch $word\n"
                           "      case ");
    put_value_flags(out, " ");
    (void)ez_buf_puts(
        out, "\n"
             "        set is_value 1\n"
             "      case '-*'\n"
             "      case '*'\n"
             "        set -a found $word\n"
             "    end\n"
             "  end\n"
             "  test (count $argv) -eq 2; and set found $found[1..2]\n"
             "  test (count $argv) -eq 2 -a \"$argv[2]\" = _; and test \"$found[1]\" = \"$argv[1]\"; and return 0\n"
             "  test \"$found\" = \"$argv\"\n"
             "end\n");
    for (const ez_method *noun = ez_ctl_noun_next(NULL); noun; noun = ez_ctl_noun_next(noun)) {
        char word[EZ_CTL_WORD_MAX];
        ez_ctl_kebab(noun->service, word);
        (void)ez_buf_printf(out, "complete -c ezctl -f -n '__ezctl_is' -a %s\n", word);
        for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m))
            fish_method(out, m);
    }
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++)
        fish_builtin(out, &ez_ctl_builtins[i]);
    (void)ez_buf_puts(out, "complete -c ezctl -f -n '__ezctl_is help' -a '");
    each_command(out, plain_word);
    (void)ez_buf_puts(out, "'\ncomplete -c ezctl -f -n '__ezctl_is call' -a '");
    for (unsigned i = 0; i < ez_method_count; i++)
        (void)ez_buf_printf(out, "%s%s", i ? " " : "", ez_methods[i].name);
    (void)ez_buf_puts(out, "'\n");
}

bool ez_ctl_completion_write(const char *shell, ez_buf *out) {
    static const struct {
        const char *shell;
        void (*write)(ez_buf *out);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].shell, shell) == 0) {
            shells[i].write(out);
            return true;
        }
    }
    return false;
}

int ez_ctl_completion(const ez_ctl_arguments *arguments, const ez_settings *settings) {
    (void)settings;
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_COMPLETION_MAX);
    int result;
    if (ez_ctl_completion_write(arguments->operands[0], &out)) {
        result = ez_ctl_print(&out);
    } else {
        ez_ctl_note("there is no completion for \"%.40s\"; there is for bash, zsh and fish", arguments->operands[0]);
        result = EZ_CTL_EXIT_USAGE;
    }
    ez_buf_fini(&out);
    return result;
}
