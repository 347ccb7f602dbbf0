// SPDX-License-Identifier: Apache-2.0
//
// The grammar of .vcs files, for the whole language; what is not lowered yet parses too. Words of the language are soft: all but the
// hard ones (`let`, `return`, `if`, `else`, `for`, `in`, `and`, `or`, `not`, `true`, `false`, `none`) may be names. Line ends do not
// matter, but for one thing: `(` and `[` continue an expression only on its own line.
grammar Vcs;

@parser::members {
  bool sameLine() {
    antlr4::Token *Before = _input->LT(-1), *Next = _input->LT(1);
    return !Before || !Next || Before->getLine() == Next->getLine();
  }
}

//---------------------------------------------------------------- modules

file: moduleLine (importLine | declaration)* EOF;
moduleLine: 'module' dotted sep?;
importLine: 'import' dotted ('.' '{' ident (',' ident)* ','? '}')? sep?;
expressionOnly: expr EOF;

declaration
  : ( constDecl | structDecl | layerDecl | fnDecl | opDecl | modelDecl | stageDecl | datasetFormatDecl | datasetDecl | tokenizerDecl
    | templateDecl | optimizerDecl | scheduleDecl ) sep?
  ;

constDecl: 'const' ident '=' expr;
structDecl: 'struct' ident '{' (structField sep?)* '}';
structField: ident ':' typeRef ('=' expr)?;
fnDecl: 'fn' ident params ('->' typeRef)? block;
opDecl: 'op' ident params ('->' typeRef)?;

params: '(' (param (',' param)* ','?)? ')';
param: ident (':' typeRef)? ('=' expr)?;
typeRef: dims | dotted dims?;
dims: '[' (dim (',' dim)* ','?)? ']';
dim: '..' | expr;

//---------------------------------------------------------------- layers

layerDecl: 'layer' ident params '{' (layerMember sep?)* '}';
layerMember: layerField | layerIf | groupMember | fnDecl | method;
method: ident params ('->' typeRef)? block;
groupMember: 'group' ident '=' (path | '{' path (',' path)* ','? '}');
layerField
  : ident ':' 'param' dims ('=' expr ('within' expr)?)?   # weightField
  | ident ':' expr                                          # valueField
  ;
layerIf: 'if' expr fieldBlock ('else' 'if' expr fieldBlock)* ('else' fieldBlock)?;
fieldBlock: '{' ((layerField | layerIf) sep?)* '}';

//---------------------------------------------------------------- models

modelDecl: 'model' ident '{' (component sep?)* '}';
component
  : 'lora' ident ':' path (',' path)* entries?   # loraComponent
  | ident ident ':' expr                         # partComponent
  ;

//---------------------------------------------------------------- data

datasetFormatDecl: 'dataset' 'format' ident params '{' 'record' recordBlock '}';
recordBlock: '{' (recordField sep?)* '}';
recordField: ident ':' dotted ('|' dotted)* ('[' '*' ']')? recordBlock?;
datasetDecl: 'dataset' ident '=' expr entries?;
tokenizerDecl: 'tokenizer' ident '=' expr;
templateDecl: 'template' ident '{' ((segment | prompts) sep?)* '}';
segment: ident STRING;
prompts: ident '[' (STRING (',' STRING)* ','?)? ']';
optimizerDecl: 'optimizer' ident params '{' (ruleMember sep?)* '}';
scheduleDecl: 'schedule' ident params '{' (ruleMember sep?)* '}';
ruleMember: 'state' ident '=' expr | fnDecl | method;

//---------------------------------------------------------------- stages

stageDecl: 'stage' INT? STRING 'of' dotted ('like' stageRef ('from' dotted)?)? '{' (clause sep?)* '}';
stageRef: 'stage' (INT | STRING);
clause
  : ('uses' | 'train' | 'freeze' | 'idle' | 'recompute') selector (',' selector)*   # selectionClause
  | 'start' (selector (',' selector)*)? 'from' source ('or' source)* entries?       # startClause
  | 'batch' '{' (batchEntry sep?)* '}'                                              # batchClause
  | 'loss' block                                                                    # lossClause
  | 'optimize' dotted entries?                                                      # optimizeClause
  | 'schedule' dotted entries?                                                      # scheduleClause
  | 'precision' expr entries?                                                       # precisionClause
  | 'parallel' entries                                                              # parallelClause
  | 'evaluate' STRING? moment 'on' expr entries? ('like' STRING)?                   # evaluateClause
  | 'save' moment (',' option)* ('as' ident)? entries?                              # saveClause
  | 'log' moment                                                                    # logClause
  ;
source: stageRef | 'init' | STRING | dotted;
moment: 'at' 'end' | 'every' expr;

batchEntry
  : 'accumulate' expr entries?            # accumulateEntry
  | ident ':' 'labels' entries            # labelsEntry
  | ident ':' 'identity' entries          # identityEntry
  | ident ':' expr 'from' 'weighted' '[' weight (',' weight)* ','? ']' entries?   # weightedEntry
  | ident ':' expr 'from' expr entries?   # rowsEntry
  | ident ':' expr entries?               # textEntry
  | ident '{' (batchEntry sep?)* '}'      # mixtureEntry
  ;
weight: expr ':' expr;

entries: '{' (option sep?)* '}';
option
  : 'except' ':' path (',' path)*                                        # exceptOption
  | 'like' STRING                                                        # likeOption
  | ident ':' 'skip' 'up' 'to' expr                                      # skipOption
  | ident ':' expr                                                       # valueOption
  | ident '{' perSelector (sep? perSelector)* sep? '}'                   # innerOption
  | ident '{' STRING '->' STRING (sep? STRING '->' STRING)* sep? '}'     # renameOption
  ;
perSelector: (path | 'else') ':' expr;

//---------------------------------------------------------------- selectors

selector: path ('except' path | '{' 'except' ':' path (',' path)* ','? '}')?;
path: pathStart pathStep*;
pathStart: ident | '*' | alternatives;
pathStep: '.' (ident | '*' | alternatives) | '[' ('*' | integer? '..' integer? | integer) ']';
alternatives: '{' path (',' path)* ','? '}';
integer: '-'? INT;

//---------------------------------------------------------------- statements

block: '{' (statement sep?)* '}';
statement
  : 'let' targets '=' expr                                                  # letStatement
  | 'return' expr                                                           # returnStatement
  | 'if' expr block ('else' 'if' expr block)* ('else' block)?               # ifStatement
  | 'for' targets 'in' expr block                                           # forStatement
  | ident ':' expr                                                          # termStatement
  | targets '=' expr                                                        # assignStatement
  | expr                                                                    # expressionStatement
  ;
targets: ident (',' ident)* | '(' ident (',' ident)* ','? ')';

//---------------------------------------------------------------- expressions

expr
  : expr '.' ident                                          # memberExpr
  | expr {sameLine()}? '(' (argument (',' argument)* ','?)? ')'   # callExpr
  | expr {sameLine()}? '[' item (',' item)* ','? ']'        # indexExpr
  | <assoc=right> expr '**' expr                            # powerExpr
  | '-' expr                                                # negExpr
  | expr ('*' | '/' | FLOORDIV | '%') expr                  # productExpr
  | expr ('+' | '-') expr                                   # sumExpr
  | expr '..' expr                                          # rangeExpr
  | expr ('==' | '!=' | '<' | '<=' | '>' | '>=') expr       # compareExpr
  | 'not' expr                                              # notExpr
  | expr 'and' expr                                         # andExpr
  | expr 'or' expr                                          # orExpr
  | <assoc=right> expr 'if' expr 'else' expr                # conditionalExpr
  | (INT | FLOAT) unit?                                     # numberExpr
  | PERCENT                                                 # percentExpr
  | STRING                                                  # stringExpr
  | ('true' | 'false')                                      # boolExpr
  | 'none'                                                  # noneExpr
  | ident 'over' ident 'of' ident                           # phraseExpr
  | ident                                                   # nameExpr
  | '(' expr ')'                                            # groupExpr
  | '(' (expr ',' (expr (',' expr)* ','?)?)? ')'            # tupleExpr
  | '[' expr 'for' targets 'in' expr ('if' expr)? ']'       # comprehensionExpr
  | '[' (element (',' element)* ','?)? ']'                  # listExpr
  ;
element: '..' | expr;
argument: (ident ':')? expr;
item
  : '..'                                          # ellipsisItem
  | first=expr? ':' stop=expr? (':' step=expr?)?  # sliceItem
  | expr                                          # valueItem
  ;

dotted: ident ('.' ident)*;
sep: ',' | ';';
unit
  : 'step' | 'steps' | 'epoch' | 'epochs' | 'bytes' | 'kB' | 'MB' | 'GB' | 'TB' | 'second' | 'seconds' | 'minute' | 'minutes' | 'hour'
  | 'hours'
  ;
ident
  : IDENT | unit
  | 'module' | 'import' | 'const' | 'struct' | 'fn' | 'op' | 'param' | 'layer' | 'group' | 'within' | 'model' | 'lora' | 'dataset'
  | 'format' | 'record' | 'tokenizer' | 'template' | 'optimizer' | 'schedule' | 'state' | 'stage' | 'of' | 'like' | 'uses' | 'train'
  | 'freeze' | 'idle' | 'recompute' | 'start' | 'from' | 'init' | 'batch' | 'loss' | 'optimize' | 'precision' | 'parallel' | 'evaluate'
  | 'on' | 'save' | 'as' | 'log' | 'at' | 'end' | 'every' | 'accumulate' | 'weighted' | 'labels' | 'identity' | 'except' | 'skip' | 'up' | 'to' | 'over'
  ;

//---------------------------------------------------------------- tokens

IDENT: [A-Za-z_] [A-Za-z_0-9]*;
PERCENT: DIGITS ('.' DIGITS)? '%';
FLOAT: DIGITS '.' DIGITS EXPONENT? | DIGITS EXPONENT;
INT: DIGITS;
STRING: '"' (~["\\\r\n] | '\\' .)* '"';
fragment DIGITS: [0-9] [0-9_]*;
fragment EXPONENT: [eE] [+-]? [0-9]+;

DOC: '///' ~[\r\n]* -> channel(2);
COMMENT: '//' ~[\r\n]* -> skip;
// `//` that divides, as Parse.cpp marks it: an operand, at most one space, `//`. Any other `//` starts a comment.
FLOORDIV: '\uE000';
SPACE: [ \t\r\n\uFEFF]+ -> skip;
UNTERMINATED: '"' (~["\\\r\n] | '\\' .)*;
UNKNOWN: .;
